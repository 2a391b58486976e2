"""What stages will need: counted from their configs, and near what a real step takes."""

from __future__ import annotations

import copy

import pytest

from sfda_bench.benchmarks import memory, step_time
from sfda_bench.cli.main import main
from sfda_bench.errors import UnknownNameError
from sfda_bench.plan import catalog
from sfda_bench.run.forecast import forecast, images_of, size_of, traced, views_of


def model(name: str) -> dict:
    return copy.deepcopy(catalog.load('networks', name)['model'])


@pytest.mark.parametrize('name', ['deeplabv2_pocket', 'segformer_pocket', 'cgnet'])
def test_operations_and_memory_grow_with_the_pixels(name):
    small, large = traced(model(name), (64, 96)), traced(model(name), (128, 192))
    assert large.flops / small.flops == pytest.approx(4.0, rel=0.3)
    assert large.kept / small.kept == pytest.approx(4.0, rel=0.2)
    assert large.parameters == small.parameters == small.trained


def test_operations_of_a_convolution_are_those_of_its_formula():
    """The classifiers of the pocket network: four of 3 x 3 on 128 channels, 19 classes."""
    few, many = model('deeplabv2_pocket'), model('deeplabv2_pocket')
    many['decode_head']['num_classes'] = 20
    found = traced(many, (96, 192)).flops - traced(few, (96, 192)).flops
    # 2 per multiplication and addition; both ends included or not at stride 4
    low, high = (4 * 2 * 9 * 128 * h * w for h, w in ((24, 48), (25, 49)))
    assert low <= found <= high


def test_with_norms_alone_less_is_kept_and_trained():
    whole, norms = (traced(model('deeplabv2_pocket'), (64, 96), n) for n in (False, True))
    assert 0 < norms.trained < whole.trained
    assert norms.kept < whole.kept


@pytest.mark.parametrize('method', ['cbst', 'stvm', 'atp_align', 'maxsquare', 'intrada'])
def test_a_forecast_is_within_15_per_cent_of_a_real_step(method):
    timing = step_time.Timing('cgnet', (128, 256), 2)
    for _, stage in step_time.stages_of([method]):
        found = memory.measure(stage, timing)
        assert found['ratio'] == pytest.approx(1.0, abs=0.15)


def test_sizes_images_and_views_are_read_from_the_stages(bench):
    plan = bench.plan('cbst[iters=50,batch_size=3]', 'iapc')
    stages = {stage.title.split()[0] + stage.name: stage for stage in plan.stages.values()}
    train = next(s for s in plan.stages.values() if s.name == 'train0')
    assert images_of(train.config) == 150
    assert size_of(stages['iapcadapt'].config) == (64, 128), 'crops'
    label = stages['iapclabel'].config
    assert views_of(label) == pytest.approx(2 * (1.0 + 1.25**2 + 0.75**2))


def test_what_is_slower_by_a_factor_takes_longer_by_it(bench):
    stages = list(bench.plan('tent').stages.values())
    fast, slow = (forecast(stages, 'a100-40gb', share) for share in (0.4, 0.2))
    for one, other in zip(fast, slow, strict=True):
        assert other.hours == pytest.approx(2 * one.hours)
        assert other.memory_gb == one.memory_gb > 1.0
    with pytest.raises(UnknownNameError, match='a100-40gb'):
        forecast(stages, 'a100-40g')


def test_the_command_tells_what_fits(bench, capsys):
    call = ['plan', '--suite', bench.suite, '--task', 'gta5_to_cityscapes', '--method', 'tent']
    call += ['--data-root', str(bench.data_root), '--runs', str(bench.store.root)]
    assert main([*call, '--device', 'a100-40gb']) == 0
    told = capsys.readouterr().out
    assert 'forecast for a100-40gb' in told and '4 fit 24 GB' in told
    assert main([*call, '--device', 'a100']) != 0
    assert 'a100-40gb' in capsys.readouterr().err
    assert main([*call, '--device', 'a100-40gb', '--utilisation', '0']) != 0
