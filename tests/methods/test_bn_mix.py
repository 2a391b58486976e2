"""BN mixing: cases B3 and B4 of the compact sheet, the two ends, and what the config states."""

import pytest
import torch
from mmseg.structures import SegDataSample

from sfda_bench.adapt.norm import running_statistics, statistics_layers
from sfda_bench.plan.method import Method
from tests.methods.helpers import plain
from tests.methods.two_norms import X0, statistics, two_norms


def test_case_b3_gathered_in_training_mode_and_mixed_afterwards():
    adapter = two_norms('BNAdapt', source_weight=0.8).train()
    image = X0.view(1, 1, 1, 4)
    adapter.train_step({'inputs': image}, None)
    mixed = adapter.export_module().eval()
    first, second = statistics(mixed)
    assert first == pytest.approx((1.4, 4.533333333), abs=1e-8)
    assert second == pytest.approx((0.08, 3.1999952), abs=1e-8)
    expected = (-0.923833161, 0.651478916, 2.226790993, 3.802103070)
    assert mixed(image).flatten().tolist() == pytest.approx(expected, abs=1e-8)


def test_case_b4_the_variance_is_mixed_linearly():
    """Unbiased variances, and no term for the distance of the two means (2.7025, 1.355833)."""
    for values, source, expected in (
        ([0.0, 1.0, 3.0, 6.0], 2.0, 2.5),
        ([-2.0, 1.0, 0.0, 3.0], 1.0, 1.333333333),
    ):
        adapter = two_norms('BNAdapt', source_weight=0.9).train()
        statistics_layers(adapter.student)[0].running_var.fill_(source)
        adapter.train_step({'inputs': torch.tensor(values).double().view(1, 1, 2, 2)}, None)
        assert statistics(adapter.export_module())[0][1] == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize('share', [0.0, 0.5, 1.0])
def test_the_ends_are_the_target_and_the_source(share):
    adapter = plain('BNAdapt', source_weight=share).train()

    def statistics_of(network):
        return [torch.cat(running_statistics(x)).clone() for x in statistics_layers(network)]

    source = statistics_of(adapter.student)
    torch.manual_seed(3)
    images = list(torch.randint(256, (2, 3, 32, 32)).byte())
    samples = [SegDataSample(metainfo={'img_shape': (32, 32)}) for _ in images]
    adapter.train_step({'inputs': images, 'data_samples': samples}, None)
    target = statistics_of(adapter.student)
    mixed = statistics_of(adapter.export_module())
    for found, old, new in zip(mixed, source, target, strict=True):
        assert torch.allclose(found, share * old + (1 - share) * new, atol=1e-5)


def test_the_config_states_the_share_and_is_bn_adapt_otherwise():
    for profile in ('paper', 'pocket', 'camvid'):
        (mine,) = Method('bn_mix').stages(profile, 'gta5_to_cityscapes', {})
        (other,) = Method('bn_adapt').stages(profile, 'gta5_to_cityscapes', {})
        assert mine['adapter'].pop('source_weight') == 0.5
        other['adapter'].pop('source_weight')
        assert mine == other
