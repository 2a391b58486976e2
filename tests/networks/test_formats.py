"""Round trips: a checkpoint synthesised in each format, converted, loaded strictly, same logits."""

import json
from functools import partial

import pytest
import torch
import yaml
from mmengine.logging import HistoryBuffer

from sfda_bench.cli.scripts import convert_checkpoint as main
from sfda_bench.networks.build import build_segmentor, logits_of
from sfda_bench.networks.checkpoints.card import CheckpointCard, card_path
from sfda_bench.networks.checkpoints.convert import convert_checkpoint
from sfda_bench.networks.checkpoints.formats import BY_NAME
from sfda_bench.networks.checkpoints.identify import inspect_checkpoint
from tests.networks.helpers import assert_same, config, image, lively, randomise
from tests.networks.restated_cgnet import RestatedCGNet
from tests.networks.restated_mit import B0, RestatedDAFormerHead, RestatedMiT, RestatedSegformerHead
from tests.networks.restated_mit import RestatedMiTSegmentor as MiTSegmentor
from tests.networks.restated_resnet import RestatedDeepLab, RestatedResNet101
from tests.networks.restated_wide import RestatedVGG

V1C = {
    'stride_in_3x3': True,
    'ceil_mode': False,
    'first_dilations': (1, 1, 1, 2),
    'deep_stem': True,
}
TORCHVISION = {'stride_in_3x3': True, 'ceil_mode': False, 'first_dilations': (1, 1, 1, 2)}


def plain(model):
    return dict(model.state_dict())


def old(model):
    """Written before PyTorch 0.4.1: no batch counters."""
    return {k: v for k, v in model.state_dict().items() if 'num_batches_tracked' not in k}


def maxsquare(model):
    return {'state_dict': {f'module.{k}': v for k, v in model.state_dict().items()}, 'epoch': 3}


def two_parts(model):
    """FADA: backbone and classifier in two dictionaries."""
    state = model.state_dict()
    backbone = {f'module.backbone.{k}': v for k, v in state.items() if 'layer5' not in k}
    head = {f'module.{k[len("layer5.") :]}': v for k, v in state.items() if 'layer5' in k}
    return {'feature_extractor': backbone, 'classifier': head, 'iteration': 10}


def daformer(model):
    """A self-training checkpoint: student, teacher and ImageNet copy; the copies differ."""
    state = model.state_dict()
    out = {f'model.{k}': v for k, v in state.items()}
    for copy in ('ema_model.', 'imnet_model.'):
        out.update({copy + k: v + 1 if v.is_floating_point() else v for k, v in state.items()})
    return {'meta': {'iter': 40000}, 'state_dict': out, 'optimizer': {'state': {}}}


def aspp_head(model):
    """DAFormer's own DeepLabV2: mmseg prefixes, branches under ``aspp_modules``."""
    out = {}
    for key, value in model.state_dict().items():
        if key.startswith('layer5.conv2d_list.'):
            _, _, index, name = key.split('.')
            out[f'decode_head.aspp_modules.{index}.conv.{name}'] = value
        else:
            out[f'backbone.{key}'] = value
    return {'state_dict': out}


def with_log(state):
    """As mmengine's runner writes it: log buffers, which are no tensors, beside the weights."""
    hub = {'log_scalars': {'loss': HistoryBuffer([0.5], [1])}, 'runtime_info': {'iter': 3}}
    meta = {'mmengine_version': '0.10.4', 'dataset_meta': {'classes': ['road']}}
    return {'meta': meta, 'state_dict': state, 'message_hub': hub}


def mmseg_segformer(model):
    return with_log(BY_NAME['daformer'].convert(model.state_dict()))


def mmseg_old(model):
    meta = {'mmseg_version': '0.30.0', 'CLASSES': ['road'], 'iter': 160000}
    return {'meta': meta, 'state_dict': BY_NAME['daformer'].convert(model.state_dict())}


R50 = (3, 4, 6, 3)


def single(classes=19, **kwargs):
    return partial(RestatedDeepLab, classes=classes, **{'blocks': R50, **kwargs})


def small_model(name):
    """The network's config with a shallower backbone: the keys' form does not depend on depth."""
    model_cfg = config(name).model
    if model_cfg.backbone.get('depth') == 101:
        model_cfg.backbone.depth = 50
    if model_cfg.backbone.type == 'MiT':
        model_cfg.backbone.update(embed_dims=32, num_layers=[2, 2, 2, 2])
        model_cfg.decode_head.in_channels = list(B0['dims'])
    return model_cfg


def mit(head, size):
    return partial(MiTSegmentor, head, **size)


# format, network, restated model, how it is written
WHOLE = {
    'adaptsegnet single, old': ('dlv2', 'deeplabv2_r101_2branch', single(used=2), old),
    'advent multi': ('dlv2', 'deeplabv2_r101_multi', single(multi=True), plain),
    'advent single (layer6)': ('dlv2', 'deeplabv2_r101', single(main='layer6'), plain),
    'crst': ('dlv2', 'deeplabv2_r101', single(), plain),
    'maxsquare': ('dlv2', 'deeplabv2_r101_2branch', single(used=2), maxsquare),
    'multi to single': ('dlv2_main', 'deeplabv2_r101', single(multi=True), plain),
    'vgg': ('dlv2_vgg', 'deeplabv2_vgg16', RestatedVGG, plain),
    'fada': ('fada', 'deeplabv2_r101_torchvision', single(**TORCHVISION), two_parts),
    'daformer': ('daformer', 'daformer_b5', mit(RestatedDAFormerHead, B0), daformer),
    'daformer dlv2': ('daformer', 'deeplabv2_r101_v1c', single(**V1C), aspp_head),
    'mmseg 0.x': ('mmseg', 'segformer_b0', mit(RestatedSegformerHead, B0), mmseg_old),
    'mmseg 1.x': ('mmseg', 'segformer_b0', mit(RestatedSegformerHead, B0), mmseg_segformer),
    'cgnet': ('cgnet', 'cgnet', RestatedCGNet, old),
}


def written(tmp_path, build, write):
    torch.manual_seed(0)
    model = build()
    model = lively(model) if isinstance(model, RestatedVGG) else randomise(model)
    path = tmp_path / 'original.pth'
    torch.save(write(model), path)
    return model, path


@pytest.mark.parametrize('case', WHOLE)
@torch.no_grad()
def test_round_trip(tmp_path, case):
    form, name, build, write = WHOLE[case]
    reference, path = written(tmp_path, build, write)
    model_cfg = small_model(name)
    found = inspect_checkpoint(path, {name: model_cfg})
    assert found.format == form.replace('_main', '')
    assert name in (found.main_only if form == 'dlv2_main' else found.fits)
    model = build_segmentor(model_cfg)
    model.load_state_dict(convert_checkpoint(path, form, model_cfg), strict=True)
    x = image(65, 97, scale=1.0 if case in ('vgg', 'cgnet') or 'mmseg' in case else 0.1)
    expected = reference(x)
    expected = expected[0] if isinstance(expected, tuple) else expected
    assert_same(logits_of(model.eval(), x), expected)


def scale_init(model):
    """The shared initial file: ``Scale.`` and a Pascal classifier of 21 classes."""
    state = {f'Scale.{k}': v for k, v in old(model).items()}
    state['Scale.layer5.conv2d_list.0.weight'] = torch.zeros(21, 2048, 3, 3)
    return state


def imagenet(model):
    return {
        **model.state_dict(),
        'fc.weight': torch.zeros(1000, 2048),
        'fc.bias': torch.zeros(1000),
    }


def imagenet_mit(model):
    return {**model.state_dict(), 'head.weight': torch.zeros(1000, 512)}


# format, network, restated backbone, how it is written
PARTIAL = {
    'Scale.': (
        'dlv2_scale_init',
        'deeplabv2_r101',
        partial(RestatedResNet101, blocks=R50),
        scale_init,
    ),
    'caffe or torchvision resnet': (
        'resnet_imagenet',
        'deeplabv2_r101',
        partial(RestatedResNet101, blocks=R50),
        imagenet,
    ),
    'resnet v1c': (
        'resnet_imagenet',
        'deeplabv2_r101_v1c',
        partial(RestatedResNet101, blocks=R50, **V1C),
        imagenet,
    ),
    'mit': ('mit_imagenet', 'segformer_b5', partial(RestatedMiT, **B0), imagenet_mit),
}


@pytest.mark.parametrize('case', PARTIAL)
@torch.no_grad()
def test_initial_weights(tmp_path, case):
    form, name, build, write = PARTIAL[case]
    reference, path = written(tmp_path, build, write)
    model_cfg = small_model(name)
    found = inspect_checkpoint(path, {name: model_cfg})
    assert (found.format, found.fits, found.partial) == (form, [name], True)
    assert found.dropped
    model = build_segmentor(model_cfg)
    missing, extra = model.load_state_dict(convert_checkpoint(path, form, model_cfg), strict=False)
    assert not extra and all('decode_head' in key for key in missing)
    x = image(65, 97, scale=0.1)
    features = reference(x) if form == 'mit_imagenet' else reference.features(x)
    assert_same(model.eval().extract_feat(x)[-1], features[-1])


@torch.no_grad()
def test_vgg_imagenet_fills_the_thirteen_convolutions(tmp_path):
    index = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]  # torchvision's flat sequence
    reference = lively(RestatedVGG())
    ours = [i for i in reference.features if int(i) < 29]
    state = {}
    for theirs, own in zip(index, ours, strict=True):
        for name, value in reference.features[own].state_dict().items():
            state[f'features.{theirs}.{name}'] = value
    state['classifier.0.weight'] = torch.zeros(8, 8)
    torch.save(state, tmp_path / 'vgg.pth')
    model_cfg = config('deeplabv2_vgg16').model
    converted = convert_checkpoint(tmp_path / 'vgg.pth', 'vgg_imagenet', model_cfg)
    assert len(converted) == 26
    for own in ours:
        key = f'backbone.features.{own}.weight'
        assert torch.equal(converted[key], reference.features[own].weight)


@torch.no_grad()
def test_student_and_teacher_are_told_apart(tmp_path):
    _, path = written(tmp_path, mit(RestatedDAFormerHead, B0), daformer)
    state = torch.load(path)['state_dict']
    student, teacher = BY_NAME['daformer'].convert(state), BY_NAME['daformer_ema'].convert(state)
    key = 'decode_head.conv_seg.bias'
    assert torch.equal(student[key] + 1, teacher[key])
    assert student.keys() == teacher.keys()


@pytest.fixture
def advent(tmp_path):
    return written(tmp_path, single(classes=16, blocks=(3, 4, 23, 3)), plain)


def run(capsys, *args):
    status = main([str(a) for a in args])
    out = capsys.readouterr()
    return status, out.out + out.err


def test_inspect_asks_about_branches(advent, capsys):
    status, text = run(capsys, 'inspect', advent[1])
    assert status == 0
    assert 'fits      deeplabv2_r101, deeplabv2_r101_2branch' in text
    assert '2 or 4?' in text and 'classes   16' in text


def test_convert_wants_the_answer_and_records_it(advent, capsys, tmp_path):
    status, text = run(capsys, 'convert', advent[1])
    assert status == 1 and '--branches 2' in text
    out = tmp_path / 'converted.pth'
    score = ('--score', 'gta5_to_cityscapes', 'dlv2_caffe@2', 'cityscapes19@1', 36.6)
    args = ('--branches', 2, '--out', out, '--origin', 'a friend', *score)
    status, text = run(capsys, 'convert', advent[1], *args)
    assert status == 0, text
    card = CheckpointCard.model_validate(yaml.safe_load(card_path(out).read_text()))
    assert (card.network, card.branches, card.num_classes) == ('deeplabv2_r101_2branch', 2, 16)
    (score,) = card.source_only
    assert (score.task, score.inference) == ('gta5_to_cityscapes', 'dlv2_caffe@2')
    assert (score.scoring, score.miou) == ('cityscapes19@1', 36.6)
    content = torch.load(out, weights_only=True)
    assert len(content['state_dict']) == 632


def test_branches_and_network_must_agree(advent, capsys):
    args = ('--branches', 2, '--network', 'deeplabv2_r101')
    status, text = run(capsys, 'convert', advent[1], *args)
    assert status == 1 and 'sums 4' in text


def test_unknown_file_names_the_nearest_network_and_the_rest(tmp_path, capsys):
    state = build_segmentor(config('deeplabv2_pocket').model).state_dict()
    state['extra.weight'] = torch.zeros(1)
    del state['backbone.conv1.weight']
    torch.save(state, tmp_path / 'x.pth')
    status, text = run(capsys, 'inspect', tmp_path / 'x.pth')
    assert status == 0
    assert 'no network exactly' in text and 'nearest   deeplabv2_pocket' in text
    assert '1 keys missing: backbone.conv1.weight' in text
    assert '1 keys left over: extra.weight' in text
    status, text = run(capsys, 'convert', tmp_path / 'x.pth')
    assert status == 1 and 'fits no network' in text


def test_json_output(tmp_path, capsys):
    _, path = written(tmp_path, RestatedCGNet, old)
    status, text = run(capsys, 'inspect', path, '--json')
    data = json.loads(text[text.index('{') :])
    assert status == 0 and data['format'] == 'cgnet' and data['fits'] == ['cgnet']
