"""Features and logits of every network against restatements in plain torch."""

import pytest
import torch
from torch import nn

from sfda_bench.networks.build import build_segmentor, logits_of
from tests.networks.helpers import (
    assert_same,
    config,
    image,
    largest_difference,
    lively,
    randomise,
)
from tests.networks.restated_mit import (
    B0,
    B5,
    RestatedDAFormerHead,
    RestatedMiTSegmentor,
    RestatedSegformerHead,
)
from tests.networks.restated_resnet import RestatedDeepLab
from tests.networks.restated_wide import RestatedA1, RestatedVGG


def network(name, state):
    model = build_segmentor(config(name).model)
    model.load_state_dict(state, strict=True)
    return model.eval()


def dlv2_state(reference, **heads):
    """ADVENT keys to mmseg's, by hand: backbone as is, heads renamed."""
    state = {}
    for key, value in reference.state_dict().items():
        part = key.split('.')[0]
        target = heads.get(part)
        state[key.replace(part, target, 1) if target else f'backbone.{key}'] = value
    return state


@torch.no_grad()
def test_two_branches_in_the_full_network():
    torch.manual_seed(1)
    reference = randomise(RestatedDeepLab(used=2))
    model = network('deeplabv2_r101_2branch', dlv2_state(reference, layer5='decode_head'))
    x = image(65, 97, scale=0.1)
    assert_same(reference(x)[0], logits_of(model, x))
    four = network('deeplabv2_r101', model.state_dict())
    assert largest_difference(logits_of(four, x), logits_of(model, x)) > 1e-3


@torch.no_grad()
def test_multi_level():
    torch.manual_seed(2)
    reference = randomise(RestatedDeepLab(multi=True))
    state = dlv2_state(reference, layer5='auxiliary_head', layer6='decode_head')
    model = network('deeplabv2_r101_multi', state)
    x = image(71, 89, scale=0.1)
    main, aux = reference(x)
    features = model.extract_feat(x)
    for ours, theirs in zip(features, reference.features(x), strict=True):
        assert_same(ours, theirs)
    assert_same(main, model.decode_head(features))
    assert_same(aux, model.auxiliary_head(features))


@torch.no_grad()
def test_v1c():
    torch.manual_seed(3)
    reference = randomise(
        RestatedDeepLab(
            stride_in_3x3=True, ceil_mode=False, first_dilations=(1, 1, 1, 2), deep_stem=True
        )
    )
    model = network('deeplabv2_r101_v1c', dlv2_state(reference, layer5='decode_head'))
    x = image(65, 97, scale=0.1)
    assert_same(reference.features(x)[1], model.extract_feat(x)[-1])
    assert_same(reference(x)[0], logits_of(model, x))


@torch.no_grad()
def test_vgg16():
    torch.manual_seed(4)
    reference = lively(RestatedVGG())
    state = {
        k.replace('features', 'backbone.features').replace('classifier', 'decode_head'): v
        for k, v in reference.state_dict().items()
    }
    model = network('deeplabv2_vgg16', state)
    x = image(65, 97)
    assert logits_of(model, x).shape == (1, 19, 8, 12)
    assert_same(reference.features_of(x), model.extract_feat(x)[0])
    assert_same(reference(x), logits_of(model, x))


def by_kind(model):
    """Module names of our ResNet-38 in order, grouped as the restatement groups its weights."""
    names = {'stem': [], 'project': [], 'conv': [], 'norm': [], 'head': []}
    for name, module in model.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            names['norm'].append(name)
        elif isinstance(module, nn.Conv2d):
            kind = 'stem' if name.endswith('stem') else 'project' if 'project' in name else 'conv'
            names['head' if name.startswith('decode_head') else kind].append(name)
    names['head'].sort()
    return names


@torch.no_grad()
def test_resnet38():
    torch.manual_seed(5)
    reference = randomise(RestatedA1())
    for conv in (reference.hidden, reference.classify):
        torch.nn.init.normal_(conv.weight, std=0.05)
    model = build_segmentor(config('resnet38_a1').model).eval()
    model.load_state_dict(reference.mmseg_state(by_kind(model)), strict=True)
    x = image(33, 49)
    feature = model.extract_feat(x)[0]
    assert feature.shape == (1, 4096, 5, 7)
    assert_same(reference.features_of(x), feature)
    assert_same(reference(x), logits_of(model, x))


def test_resnet38_keeps_its_statistics_but_trains_the_affine():
    backbone = build_segmentor(config('resnet38_a1').model).train().backbone
    norms = [m for m in backbone.modules() if isinstance(m, nn.BatchNorm2d)]
    assert not any(m.training for m in norms)
    assert all(m.weight.requires_grad and m.bias.requires_grad for m in norms)


def check_mit(name, head, size, x):
    """Compare encoder maps and logits; keys go through the converter."""
    from sfda_bench.networks.checkpoints.formats import BY_NAME

    torch.manual_seed(6)
    reference = randomise(RestatedMiTSegmentor(head, **size))
    state = {f'model.{k}': v for k, v in reference.state_dict().items()}
    model = network(name, BY_NAME['daformer'].convert(state))
    for ours, theirs in zip(model.extract_feat(x), reference.backbone(x), strict=True):
        assert_same(ours, theirs)
    assert_same(reference(x), logits_of(model, x))


@torch.no_grad()
def test_segformer_b0():
    check_mit('segformer_b0', RestatedSegformerHead, B0, image(65, 97))


@torch.no_grad()
def test_segformer_b5():
    check_mit('segformer_b5', RestatedSegformerHead, B5, image(65, 97))


@torch.no_grad()
def test_daformer_b5():
    check_mit('daformer_b5', RestatedDAFormerHead, B5, image(71, 101))


@pytest.mark.parametrize(
    'name,parameters',
    [('deeplabv2_r101_multi', 44_601_560), ('deeplabv2_r101', 43_901_068)],
)
def test_published_sizes(name, parameters):
    model = build_segmentor(config(name).model)
    assert sum(p.numel() for p in model.parameters()) == parameters
