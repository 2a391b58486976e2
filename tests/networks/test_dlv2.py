import pytest
import torch
from torch import nn

from sfda_bench.errors import BenchError
from sfda_bench.networks.architectures.caffe_resnet import CaffeResNet
from sfda_bench.networks.architectures.dlv2_head import DLV2Head
from sfda_bench.networks.build import build_segmentor, logits_of
from tests.networks.helpers import assert_same, config, image, largest_difference, randomise
from tests.networks.restated_resnet import RestatedDeepLab, Sum


def head(**kwargs):
    return DLV2Head(8, num_classes=5, in_index=0, **kwargs)


@pytest.mark.parametrize('branches', [2, 4])
@torch.no_grad()
def test_n9_head_is_the_sum_of_its_first_branches(branches):
    module, other = head(num_branches=branches), Sum(8, 5, branches)
    other.load_state_dict(module.state_dict(), strict=True)
    x = torch.randn(2, 8, 33, 41)
    assert largest_difference(module([x]), other(x)) < 1e-6


def test_n9_two_and_four_branch_heads_share_keys_and_differ_in_value():
    two, four = head(num_branches=2), head(num_branches=4)
    four.load_state_dict(two.state_dict(), strict=True)
    x = torch.randn(1, 8, 33, 41)
    assert largest_difference(two([x]), four([x])) > 1e-3


def test_head_initialisation():
    torch.manual_seed(0)
    module = DLV2Head(256, num_classes=19, in_index=0)
    module.init_weights()
    conv = module.conv2d_list[3]
    assert conv.weight.std().item() == pytest.approx(0.01, rel=0.05)
    assert conv.bias.abs().max() > 0
    assert not any(isinstance(m, nn.Dropout2d | nn.BatchNorm2d) for m in module.modules())


def test_branch_count_is_checked():
    with pytest.raises(BenchError, match='num_branches=5'):
        head(num_branches=5)


@pytest.mark.parametrize(
    'size,ceil,expected',
    [
        ((512, 1024), True, (65, 129)),
        ((720, 1280), True, (91, 161)),
        ((760, 1280), True, (96, 161)),
        ((1024, 2048), True, (129, 257)),
        ((512, 1024), False, (64, 128)),
        ((720, 1280), False, (90, 160)),
        ((760, 1280), False, (95, 160)),
        ((1024, 2048), False, (128, 256)),
    ],
)
@torch.no_grad()
def test_n10_feature_size_follows_the_pooling_mode(size, ceil, expected):
    # one block a stage and few channels: the size depends on strides and pooling alone
    net = CaffeResNet(10, ceil_mode=ceil, base_channels=2, stem_channels=2, out_indices=(3,))
    assert tuple(net(image(*size))[0].shape[2:]) == expected


def test_frozen_affine_but_moving_statistics():
    net = CaffeResNet(10, base_channels=4, stem_channels=4)
    net.train()
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    assert not any(p.requires_grad for m in norms for p in m.parameters())
    assert all(m.training for m in norms)
    before = net.bn1.running_mean.clone()
    net(image(32, 32))
    assert largest_difference(before, net.bn1.running_mean) > 0


def test_published_parameter_counts():
    model = build_segmentor(config('deeplabv2_r101').model)
    assert sum(p.numel() for p in model.parameters()) == 43_901_068
    assert len(model.state_dict()) == 632
    assert sum(p.requires_grad for p in model.parameters()) == 112


@torch.no_grad()
def test_r101_features_and_logits_equal_the_restatement():
    torch.manual_seed(0)
    reference = randomise(RestatedDeepLab())
    model = build_segmentor(config('deeplabv2_r101').model).eval()
    state = {
        k.replace('layer5.', 'decode_head.') if 'layer5' in k else f'backbone.{k}': v
        for k, v in reference.state_dict().items()
    }
    model.load_state_dict(state, strict=True)
    x = image(65, 97, scale=0.1)
    feature, logits = model.extract_feat(x)[-1], logits_of(model, x)
    assert_same(feature, reference.features(x)[1])
    assert_same(logits, reference(x)[0])


@torch.no_grad()
def test_pocket_network_has_the_same_head_at_stride_four():
    network = config('deeplabv2_pocket')
    model = randomise(build_segmentor(network.model))
    assert isinstance(model.decode_head, DLV2Head)
    assert isinstance(model.backbone, CaffeResNet)
    assert logits_of(model, image(96, 192)).shape == (1, 19, 24, 48)
    assert sum(p.numel() for p in model.parameters()) < 1_000_000
