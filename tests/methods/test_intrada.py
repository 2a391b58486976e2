"""ADVENT and IntraDA: the numerical cases N1 to N7 of the IntraDA sheet, and the two optimisers."""

from __future__ import annotations

import copy
import json
import math

import numpy as np
import pytest
import torch
from mmengine.optim import OptimWrapperDict

from sfda_bench.adapt.adversarial import ADVERSARIAL, SEGMENTATION
from sfda_bench.adapt.branches import views_of
from sfda_bench.adapt.discriminator import (
    FCDiscriminator,
    discrimination_loss,
    domain_loss,
    self_information,
)
from sfda_bench.adapt.losses import label_loss
from sfda_bench.adapt.ranking import EntropyRankWriter, normaliser, ranking_score, split
from sfda_bench.errors import BenchError, UnknownNameError
from sfda_bench.methods.advent.losses import normalised_entropy
from sfda_bench.plan.method import Method
from sfda_bench.scoring.confusion import confusion_counts, iou
from tests.harness import Bench
from tests.methods.helpers import losses_of, plain

PIXELS = torch.tensor(
    [[[0.7, 0.25], [1.0, 1 / 3]], [[0.2, 0.25], [0.0, 1 / 3]], [[0.1, 0.5], [0.0, 1 / 3]]]
)


def test_n1_self_information_score_and_entropy_loss():
    found = self_information(PIXELS, dim=0)
    assert found[:, 0, 0].tolist() == pytest.approx([0.2273, 0.2930, 0.2096], abs=1e-4)
    assert found[:, 0, 1].tolist() == pytest.approx([0.3155] * 3, abs=1e-4)
    assert found.sum(dim=0).flatten().tolist() == pytest.approx([0.7298, 0.9464, 0, 1], abs=1e-4)
    score = ranking_score(PIXELS)
    assert score == pytest.approx(0.223020, abs=1e-6)
    nats = -(PIXELS * PIXELS.clamp(min=1e-30).log()).sum(dim=0).mean()
    assert float(nats) == pytest.approx(0.735038, abs=1e-6)
    assert score * 3 * math.log(3) == pytest.approx(float(nats), abs=1e-6)
    logits = PIXELS.clamp(min=1e-30).log()[None]
    assert float(normalised_entropy(logits)) == pytest.approx(0.669060, abs=1e-6)


def test_n2_split():
    assert [len(part) for part in split({str(i): i for i in range(10)}, 0.67)] == [6, 4]
    assert [len(part) for part in split({str(i): i for i in range(3)}, 0.67)] == [2, 1]
    assert [len(part) for part in split({str(i): i for i in range(2975)}, 0.67)] == [1993, 982]
    assert split({'a': 0.30, 'b': 0.10, 'c': 0.20, 'd': 0.05}, 0.67) == (['d', 'b'], ['c', 'a'])
    assert split({'a': 1.0, 'b': 0.5}, 1.0) == (['b', 'a'], [])
    with pytest.raises(BenchError, match='easy_portion 67'):
        split({'a': 1.0}, 67)


def test_n3_normaliser():
    assert normaliser([0, 2, 8, 10, 13], 'code') == 1.5
    assert normaliser([0, 2, 5, 6, 7], 'code') == pytest.approx(1.227273, abs=1e-6)
    assert normaliser(range(19), 'code') == 0.5
    assert normaliser([0, 2, 5, 6, 7], 'paper') == pytest.approx(1 / 3)
    assert normaliser([0], 'paper') == normaliser(range(19), 'none') == 1.0


@pytest.mark.parametrize('kind', ['code', 'paper'])
def test_rare_classes_are_train_ids_so_other_outputs_are_refused(tmp_path, kind):
    writer = EntropyRankWriter(str(tmp_path), normalisation=kind)
    maps = torch.full((16, 2, 2), 1 / 16)
    with pytest.raises(BenchError, match='with 16 outputs'):
        writer.process(None, [{'sample_id': 'a', 'probabilities': maps}])


@pytest.mark.parametrize('value', ['False', 'True', ''])
def test_n4_normalisation_is_a_word_and_no_argparse_bool(tmp_path, value):
    """In the code `--normalize False` is true: here it is refused, as any text but the three."""
    with pytest.raises(UnknownNameError, match='none'):
        EntropyRankWriter(str(tmp_path), normalisation=value)
    with pytest.raises(BenchError, match='is a bool'):
        Method('intrada').stages('paper', 'gta5_to_cityscapes', {'normalisation': False})


def test_n8_class_iou():
    truth, found = np.array([[0, 0, 1, 1, 255]]), np.array([[0, 1, 1, 1, 0]])
    values = iou(confusion_counts(found, truth, 3))
    assert values[:2] == pytest.approx([0.5, 2 / 3]) and np.isnan(values[2])
    assert np.nanmean(values) == pytest.approx(0.5833, abs=1e-4)


def test_n5_domain_losses():
    logits = torch.tensor([0.3, -1.2, 2.0, 0.0])
    assert float(domain_loss(logits, 0.0)) == pytest.approx(0.984428, abs=1e-6)
    assert float(domain_loss(logits, 1.0)) == pytest.approx(0.709428, abs=1e-6)
    assert float(discrimination_loss(logits, -logits)) == pytest.approx(0.984428, abs=1e-6)


def test_n6_cross_entropy_over_all_labelled_pixels():
    logits = torch.tensor([[2.0, 1, 0], [0, 0, 3]]).T[None, :, None]
    assert float(label_loss(logits, torch.tensor([[[0, 255]]]))) == pytest.approx(0.407606)


def test_n7_objective():
    terms = tiny(auxiliary=True).terms

    def weighted(names, values):
        return [terms[name].loss_weight * x for name, x in zip(names, values, strict=True)]

    segmentation, game = weighted(SEGMENTATION, [1.2, 1.5]), weighted(ADVERSARIAL, [0.70, 0.69])
    total = tiny().total(segmentation, game)
    assert float(total) == pytest.approx(1.350838, abs=1e-6)


@pytest.mark.parametrize(('classes', 'parameters'), [(19, 2_781_121), (16, 2_778_049)])
def test_the_discriminator_is_the_published_one(classes, parameters):
    model = FCDiscriminator(classes)
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert {key.split('.')[0] for key in model.state_dict()} == {'0', '2', '4', '6', '8'}


def test_discriminator_output_sizes():
    model = FCDiscriminator(19, channels=2)
    assert model(torch.zeros(1, 19, 512, 1024)).shape == (1, 1, 16, 32)
    assert model(torch.zeros(1, 19, 720, 1280)).shape == (1, 1, 22, 40)


def sample(name: str, sharp: float) -> dict:
    maps = (torch.arange(3.0).view(3, 1, 1) * sharp).expand(3, 4, 6).softmax(dim=0)
    return {'sample_id': name, 'probabilities': maps}


def test_the_ranking_stage_writes_what_the_next_reads(tmp_path):
    writer = EntropyRankWriter(str(tmp_path / 'artifacts'), easy_portion=0.67)
    writer.process(None, [sample('a', 0.1), sample('b', 5.0), sample('c', 1.0)])
    assert writer.evaluate(3) == {'easy': 2, 'hard': 1}
    folder = tmp_path / 'artifacts'
    assert (folder / 'easy.txt').read_text().split() == ['b', 'c']
    assert (folder / 'hard.txt').read_text().split() == ['a']
    assert sorted(p.name for p in (folder / 'labels').iterdir()) == ['a.png', 'b.png', 'c.png']
    assert json.loads((tmp_path / 'warnings.json').read_text()) == []


def test_no_hard_image_is_a_warning_and_no_adversary(tmp_path):
    writer = EntropyRankWriter(str(tmp_path / 'artifacts'), easy_portion=1.0)
    writer.process(None, [sample('a', 0.1), sample('b', 5.0)])
    assert writer.evaluate(2) == {'easy': 2, 'hard': 0}
    assert 'no hard image' in (tmp_path / 'warnings.json').read_text()
    adapter = tiny(split=str(tmp_path / 'artifacts' / 'split.json'))
    assert not adapter.aligned
    assert tiny().aligned and not tiny(losses=alone()).aligned


def tiny(auxiliary: bool = False, **kwargs):
    given = {'discriminator': {'channels': 4}, 'losses': losses_of('intrada'), **kwargs}
    return plain('IntraDA', auxiliary, **given)


def alone() -> dict:
    """The losses without an adversary."""
    nothing = {'loss_weight': 0.0}
    return losses_of('intrada', adversarial_main=nothing, adversarial_auxiliary=nothing)


def batch(labels: int = 3) -> dict:
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    torch.manual_seed(1)

    def part(labelled: bool) -> dict:
        samples = []
        for _ in range(2):
            item = SegDataSample(metainfo={'img_shape': (32, 64), 'ori_shape': (32, 64)})
            if labelled:
                item.gt_sem_seg = PixelData(data=torch.full((1, 32, 64), labels))
            samples.append(item)
        images = [torch.randint(0, 255, (3, 32, 64), dtype=torch.uint8) for _ in range(2)]
        return {'inputs': images, 'data_samples': samples}

    return {'easy': part(True), 'hard': part(False)}


def wrappers(adapter, **kwargs) -> OptimWrapperDict:
    from mmengine.optim import build_optim_wrapper

    def config(rate: float) -> dict:
        return {'type': 'OptimWrapper', 'optimizer': {'type': 'SGD', 'lr': rate}, **kwargs}

    settings = {
        'constructor': 'SubmoduleOptimWrapperConstructor',
        'student': config(1e-3),
        'discriminators': config(1e-2),
    }
    return build_optim_wrapper(adapter, settings)


def moved(adapter, before: dict) -> set[str]:
    after = adapter.state_dict()
    changed = [k for k in before if not torch.equal(before[k], after[k])]
    return {k.split('.')[0] for k in changed if 'running' not in k and 'num_batches' not in k}


@pytest.mark.parametrize('auxiliary', [False, True])
def test_both_optimisers_step_and_the_game_is_played_on_the_same_predictions(auxiliary):
    adapter = tiny(auxiliary=auxiliary).train()
    assert len(adapter.discriminators) == 1 + auxiliary
    before = {k: v.clone() for k, v in adapter.state_dict().items()}
    log = adapter.train_step(batch(), wrappers(adapter))
    assert set(log) == {'loss', 'segmentation', 'adversarial', 'discrimination'}
    assert all(torch.isfinite(value) for value in log.values())
    assert moved(adapter, before) == {'student', 'discriminators'}
    assert all(p.requires_grad for p in adapter.discriminators.parameters())


@pytest.mark.parametrize('auxiliary', [False, True])
def test_the_discriminators_learn_from_their_own_loss_alone(auxiliary):
    """One plain step on the predictions that the network's step was made with, and nothing else."""
    adapter = tiny(auxiliary=auxiliary).train()
    twin = copy.deepcopy(adapter)
    adapter.train_step(batch(), wrappers(adapter))
    seen = views_of(**twin.data_preprocessor(batch(), True))
    with torch.no_grad():
        easy, hard = (
            [self_information(x.softmax(dim=1)) for x in twin.outputs(seen[name])]
            for name in ('easy', 'hard')
        )
    for judge, a, b in zip(twin.discriminators, easy, hard, strict=True):
        ((domain_loss(judge(a), 0.0) + domain_loss(judge(b), 1.0)) / 2).backward()
    for after, start in zip(
        adapter.discriminators.parameters(), twin.discriminators.parameters(), strict=True
    ):
        assert start.grad is not None and bool(start.grad.any())
        torch.testing.assert_close(start - 1e-2 * start.grad, after, rtol=1e-5, atol=1e-8)


def test_without_an_adversary_only_the_network_moves():
    adapter = tiny(losses=alone()).train()
    before = {k: v.clone() for k, v in adapter.state_dict().items()}
    assert set(adapter.train_step(batch(), wrappers(adapter))) == {'loss', 'segmentation'}
    assert moved(adapter, before) == {'student'}


def test_gradients_accumulate_in_both_wrappers():
    adapter = tiny().train()
    pair = wrappers(adapter, accumulative_counts=2)
    before = {k: v.clone() for k, v in adapter.state_dict().items()}
    adapter.train_step(batch(), pair)
    assert moved(adapter, before) == set()
    adapter.train_step(batch(), pair)
    assert moved(adapter, before) == {'student', 'discriminators'}


def stages_of(name: str, profile: str = 'pocket', **params) -> dict[str, dict]:
    stages = Method(name).stages(profile, 'gta5_to_cityscapes', params)
    return {stage['name']: stage for stage in stages}


def test_published_schedules():
    """120 000 of a horizon of 250 000; SYNTHIA: 90 000 of 90 000, in both training stages."""
    for task, iters, end in (
        ('gta5_to_cityscapes', 120000, 250001),
        ('synthia_to_cityscapes', 90000, None),
    ):
        for stage in Method('intrada_uda').stages('paper', task, {}):
            if stage['name'] != 'rank':
                (schedule,) = stage['param_scheduler']
                assert (stage['iters'], schedule.get('end')) == (iters, end), stage['name']


def test_the_controls_are_parameters():
    everything = stages_of('intrada', easy_portion=1.0)
    assert everything['rank']['writer']['easy_portion'] == 1.0
    alone = stages_of('intrada', adversarial_main=0.0, adversarial_auxiliary=0.0)
    losses = alone['intra']['adapter']['losses']
    weights = [losses[f'adversarial_{x}']['loss_weight'] for x in ('main', 'auxiliary')]
    assert weights == [0.0, 0.0]


def test_the_initialisation_is_a_parameter():
    assert stages_of('intrada')['intra']['init'] == 'last'
    assert stages_of('intrada', init='initial')['intra']['init'] == 'initial'
    both = stages_of('intrada_uda', init='initial')
    assert {both[name]['init'] for name in ('adapt', 'intra')} == {'initial'}
    assert 'init' not in both['rank']  # the ranking model is the adapted one
    only = stages_of('intrada_uda', **{'intra.init': 'initial'})
    assert (only['adapt']['init'], only['intra']['init']) == ('last', 'initial')
    published = stages_of('intrada_uda', 'paper')
    assert {published[name]['init'] for name in ('adapt', 'intra')} == {'initial'}
    assert stages_of('advent', 'paper')['adapt']['init'] == 'initial'


def test_initial_weights_are_a_parent_of_the_stage_and_the_source_model_is_not(
    pocket_root, tmp_path
):
    bench = Bench(pocket_root, tmp_path)
    for selector, first in (('intrada', 'train gta5'), ('intrada[init=initial]', 'initial')):
        plan = bench.plan(selector)
        stage = next(s for s in plan.stages.values() if s.name == 'intra')
        assert plan.stages[stage.parents[0]].title.startswith(first)


def step_data(pair: dict, images: slice) -> dict:
    return {
        name: {key: values[images] for key, values in part.items()} for name, part in pair.items()
    }


def test_accumulating_two_batches_of_one_is_a_batch_of_two():
    """Two wrappers with `accumulative_counts`; batch norm stands still: images are alone."""
    results = []
    for counts, parts in ((1, [slice(0, 2)]), (2, [slice(0, 1), slice(1, 2)])):
        adapter = tiny(norm_mode='eval', dropout=False).train()
        before = {k: v.clone() for k, v in adapter.state_dict().items()}
        pair = wrappers(adapter, accumulative_counts=counts)
        for name in ('student', 'discriminators'):
            pair[name].initialize_count_status(adapter, 0, len(parts))
        for part in parts:
            adapter.train_step(step_data(batch(), part), pair)
        assert moved(adapter, before) == {'student', 'discriminators'}
        results.append((before, adapter.state_dict()))
    (start, whole), (_, parts_) = results
    for key in whole:
        change = (whole[key].double() - start[key].double()).abs().max()
        assert torch.allclose(whole[key], parts_[key], rtol=1e-4, atol=1e-3 * float(change) + 1e-9)


def test_both_networks_train_in_bfloat16_with_accumulation(monkeypatch):
    # mmengine builds this wrapper only where there is a GPU; on a CPU its scaler does nothing
    module = 'mmengine.optim.optimizer.amp_optimizer_wrapper.is_cuda_available'
    monkeypatch.setattr(module, lambda: True)
    adapter = tiny(norm_mode='eval').train()
    before = {k: v.clone() for k, v in adapter.state_dict().items()}
    pair = wrappers(adapter, type='AmpOptimWrapper', dtype='bfloat16', accumulative_counts=2)
    for name in ('student', 'discriminators'):
        pair[name].initialize_count_status(adapter, 0, 4)
    logs = [adapter.train_step(batch(), pair) for _ in range(4)]
    assert all(torch.isfinite(value) for log in logs for value in log.values())
    assert moved(adapter, before) == {'student', 'discriminators'}
    assert all(torch.isfinite(v).all() for v in adapter.state_dict().values())


def test_a_batch_without_a_label_is_finite():
    adapter = tiny().train()
    log = adapter.train_step(batch(labels=255), wrappers(adapter))
    assert float(log['segmentation']) == 0.0 and torch.isfinite(log['loss'])


def test_a_stage_without_pairs_says_what_it_needs():
    adapter = tiny().train()
    with pytest.raises(BenchError, match=r'source \(labelled\) and target'):
        adapter.train_step(batch()['easy'], wrappers(adapter))


def test_minent_lowers_the_entropy_of_the_target():
    from mmengine.optim import OptimWrapper

    losses = losses_of('minent', adversarial_main={'loss_weight': 10.0})
    adapter = plain('MinEnt', losses=losses).train()
    optimizer = torch.optim.SGD(adapter.student.parameters(), lr=1e-2)
    wrapper = OptimWrapper(optimizer)
    pair = batch()
    data = {'source': pair['easy'], 'target': pair['hard']}
    logs = [adapter.train_step(data, wrapper) for _ in range(4)]
    assert all(torch.isfinite(value) for log in logs for value in log.values())
    assert float(logs[-1]['entropy']) < float(logs[0]['entropy'])


def test_an_optimiser_for_no_child_is_refused():
    with pytest.raises(BenchError, match='an optimiser for teacher'):
        from mmengine.optim import build_optim_wrapper

        build_optim_wrapper(
            tiny(), {'constructor': 'SubmoduleOptimWrapperConstructor', 'teacher': {}}
        )
