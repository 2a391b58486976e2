"""Several views of an image: HCL's two scales with mirroring, by the stock pipeline and by hand."""

import copy

import numpy as np
import pytest
import torch
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import DefaultScope
from mmengine.runner.checkpoint import load_state_dict
from PIL import Image

from sfda_bench.networks.build import build_segmentor
from sfda_bench.scoring.protocols import InferenceProtocol
from sfda_bench.suite.pipelines import test_pipeline as pipeline_of
from tests.networks.helpers import config, randomise

HEIGHT, WIDTH = 48, 80
VIEWS = dict(id='x', version=1, title='', align_corners=True, size=(40, 24), fuse='softmax',
             resize=dict(lib='pillow', mode='bicubic', antialias=True))  # fmt: skip


def protocol(**change):
    return InferenceProtocol(**(VIEWS | dict(scales=(1.0, 1.2), flip=True) | change))


@pytest.fixture(scope='module')
def model_cfg():
    return config('deeplabv2_pocket').model


@pytest.fixture(scope='module')
def item(tmp_path_factory):
    folder = tmp_path_factory.mktemp('image')
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 255, (6, 10, 3), dtype=np.uint8))
    small.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC).save(folder / 'a.png')
    Image.fromarray(rng.integers(0, 19, (HEIGHT, WIDTH), dtype=np.uint8)).save(folder / 'b.png')
    return dict(
        img_path=str(folder / 'a.png'), seg_map_path=str(folder / 'b.png'), sample_id='a',
        condition='', label_encoding='labelTrainIds', seg_fields=[],
    )  # fmt: skip


def batch(chosen, item):
    with DefaultScope.overwrite_default_scope('sfda_bench'):
        return pseudo_collate([Compose(pipeline_of(chosen, 'gta5_to_cityscapes'))(dict(item))])


def fused(model_cfg, plain, **options):
    model = build_segmentor(dict(type='FusedViews', module=model_cfg, **options)).eval()
    load_state_dict(model, copy.deepcopy(plain.state_dict()), strict=True)
    return model


def by_hand(plain, item, sizes, flips):
    """Sum of soft-maxes at label size, each view resized and mirrored here."""
    image = Image.open(item['img_path'])
    total = 0
    for size in sizes:
        for flip in flips:
            pixels = np.asarray(image.resize(size, Image.Resampling.BICUBIC))
            data = torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1)[[2, 1, 0]]
            pre = plain.data_preprocessor
            data = ((data - pre.mean.cpu()) / pre.std.cpu())[None]
            logits = plain.encode_decode(
                data.flip(3) if flip else data, [dict(img_shape=size[::-1])]
            )
            logits = logits.flip(3) if flip else logits
            logits = torch.nn.functional.interpolate(
                logits, (HEIGHT, WIDTH), mode='bilinear', align_corners=plain.align_corners
            )
            total = total + logits.softmax(1)
    return total[0].argmax(0)


@torch.no_grad()
def test_two_scales_with_mirroring_equal_the_sum_by_hand(model_cfg, item):
    torch.manual_seed(0)
    plain = randomise(build_segmentor(model_cfg))
    data = batch(protocol(), item)
    assert [tuple(x[0].shape[1:]) for x in data['inputs']] == [(24, 40)] * 2 + [(29, 48)] * 2
    assert [x[0].flip for x in data['data_samples']] == [False, True] * 2
    (sample,) = fused(model_cfg, plain).test_step(data)
    found = sample.pred_sem_seg.data[0]
    expected = by_hand(plain, item, [(40, 24), (48, 29)], [False, True])
    assert (found == expected).float().mean() > 0.999
    single = by_hand(plain, item, [(40, 24)], [False])
    assert (found != single).any(), 'the views would not matter'
    assert sample.gt_sem_seg.shape == (HEIGHT, WIDTH) and sample.sample_id == 'a'
    truth = np.asarray(Image.open(item['seg_map_path']))
    assert (sample.gt_sem_seg.data[0].numpy() == truth).all()


@torch.no_grad()
def test_an_auxiliary_head_is_weighed(model_cfg, item):
    with_aux = copy.deepcopy(model_cfg)
    with_aux.auxiliary_head = copy.deepcopy(model_cfg.decode_head)
    torch.manual_seed(0)
    plain = randomise(build_segmentor(with_aux))
    data = batch(protocol(), item)
    one = fused(with_aux, plain).test_step(data)[0].pred_sem_seg.data
    heavy = fused(with_aux, plain, aux_weight=1e6).test_step(data)[0].pred_sem_seg.data
    swapped = build_segmentor(with_aux).eval()
    state = {}
    for key, value in plain.state_dict().items():
        other = key.replace('decode_head', 'x').replace('auxiliary_head', 'decode_head')
        state[other.replace('x.', 'auxiliary_head.') if other.startswith('x.') else other] = value
    swapped.load_state_dict(state)
    only_aux = fused(with_aux, swapped).test_step(data)[0].pred_sem_seg.data
    assert (heavy == only_aux).float().mean() > 0.99 and (one != only_aux).any()


def test_a_network_without_an_auxiliary_head_has_nothing_to_weigh(model_cfg):
    assert (
        build_segmentor(dict(type='FusedViews', module=model_cfg, aux_weight=0.5)).aux_weight == 0
    )


def test_one_view_stays_a_plain_pipeline():
    chosen = protocol(scales=(1.0,), flip=False, fuse='none')
    kinds = [step['type'] for step in pipeline_of(chosen, 'gta5_to_cityscapes')]
    assert kinds == ['LoadImage', 'ResizeTo', 'LoadTrainIds', 'PackSegInputs']
