"""Inference protocols against plain statements of the authors' testers."""

import copy
from functools import partial

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import DefaultScope
from mmengine.runner.checkpoint import load_state_dict
from PIL import Image

from sfda_bench.networks.build import build_segmentor
from sfda_bench.networks.inference import starts
from sfda_bench.plan.kinds.score import predictor
from sfda_bench.scoring.confusion import confusion_counts
from sfda_bench.scoring.protocols import load_inference
from tests.networks import restated_testers as R
from tests.networks.helpers import config, randomise

LABEL = (96, 192)
TASK = 'gta5_to_cityscapes'


class Net:
    """What a restated tester sees of a segmentor."""

    def __init__(self, plain, network):
        pre = network['input']
        self.rgb, self.mean, self.std = pre['channel_order'] == 'rgb', pre['mean'], pre['std']
        self.plain = plain

    @torch.no_grad()
    def __call__(self, x):
        features = self.plain.extract_feat(x)
        heads = [self.plain.decode_head]
        aux = getattr(self.plain, 'auxiliary_head', None)
        heads += [aux[0] if isinstance(aux, torch.nn.ModuleList) else aux] if aux else []
        return [head(features) for head in heads]


@pytest.fixture(scope='module')
def small():
    """The pocket network with a second head, and whether corners are aligned, by need."""
    found = {}
    for aligned in (True, False):
        network = config('deeplabv2_pocket')
        model = copy.deepcopy(network.model.to_dict())
        model['auxiliary_head'] = copy.deepcopy(model['decode_head'])
        for head in (model['decode_head'], model['auxiliary_head']):
            head['align_corners'] = aligned
        torch.manual_seed(0)
        plain = randomise(build_segmentor(ConfigDict(model)))
        found[aligned] = model, plain, Net(plain, network.network)
    return found


@pytest.fixture(scope='module')
def item(tmp_path_factory):
    folder = tmp_path_factory.mktemp('image')
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 255, (12, 24, 3), dtype=np.uint8))
    coarse.resize(LABEL[::-1], Image.Resampling.BICUBIC).save(folder / 'a.png')
    Image.fromarray(rng.integers(0, 19, LABEL, dtype=np.uint8)).save(folder / 'b.png')
    return dict(
        img_path=str(folder / 'a.png'), seg_map_path=str(folder / 'b.png'), sample_id='a',
        condition='', label_encoding='labelTrainIds', seg_fields=[],
    )  # fmt: skip


def predict(protocol, model, plain, item):
    """The sample that a score stage of this protocol hands to its metric."""
    from sfda_bench.plan.pipelines import test_pipeline as pipeline_of

    resolved = predictor(model, protocol)
    chosen = build_segmentor(ConfigDict(resolved)).eval()
    load_state_dict(chosen, copy.deepcopy(plain.state_dict()), strict=True)
    with DefaultScope.overwrite_default_scope('sfda_bench'):
        data = pseudo_collate([Compose(pipeline_of(protocol, TASK))(copy.deepcopy(item))])
    with torch.no_grad():
        (sample,) = chosen.test_step(data)
    return sample


def small_size(name, **change):
    """A protocol with its sizes divided so that it suits the small image."""
    found = load_inference(name)
    divide = 1024 // 128
    for field in ('size', 'score_at'):
        value = getattr(found, field)
        if isinstance(value, tuple):
            change.setdefault(field, tuple(side // divide for side in value))
    if found.view_sizes:
        change['view_sizes'] = tuple(tuple(s // divide for s in size) for size in found.view_sizes)
    return found.model_copy(update={'size_by_task': {}, **change})


PRIOR = load_inference('atp_1280_prior').rescale
WINDOW = dict(crop=(80, 64), stride=(40, 48))
RESTATED = {
    'dlv2_caffe': partial(R.advent, size=(128, 64)),
    'dt_st_1536': partial(R.advent, size=(192, 96)),
    'urma_1024_halfgt': partial(R.advent, size=(128, 64)),
    'hcl_msflip': partial(R.hcl, size=(128, 64)),
    'seg_uncertainty_msflip': partial(R.hcl, size=(128, 64), scales=(1.0, 1.25)),
    'crst_test_0912f': R.crst,
    'crst_native_flip': partial(R.crst, scales=(1.0,)),
    'cbst_mxnet_2048_flip': R.cbst_mxnet,
    'atp_1280_prior': partial(R.atp_prior, factors=PRIOR, size=(160, 90)),
    'cma_native_slide': partial(R.windows, **WINDOW),
    'ctta_960_slide_14views': partial(R.cotta, size=(120, 67)),
    'simt_2scales': partial(R.simt, sizes=((128, 64), (160, 80))),
    'metacorrection_fused': partial(R.metacorrection, size=(128, 64)),
    'proda_native': lambda net, path, label: R.advent(net, path, label, size=label[::-1]),
}


@pytest.mark.parametrize('name', RESTATED)
def test_a_protocol_predicts_what_the_authors_tester_predicts(name, small, item):
    change = {'window': load_inference(name).window.model_copy(update=WINDOW)} if (
        name == 'cma_native_slide'
    ) else {}  # fmt: skip
    protocol = small_size(name, **change)
    model, plain, net = small[protocol.align_corners]
    sample = predict(protocol, model, plain, item)
    found = sample.pred_sem_seg.data[0].numpy()
    label = protocol.score_at[::-1] if protocol.score_at != 'native' else LABEL
    expected = RESTATED[name](net, item['img_path'], label)
    assert found.shape == expected.shape == label
    assert len(np.unique(expected)) >= 3, 'the comparison would be empty'
    same = (found == expected).mean()
    # sums in another order may turn an exact tie, no more
    assert same > 0.9995, same
    truth = np.asarray(Image.open(item['seg_map_path']).resize(label[::-1], Image.NEAREST))
    assert (sample.gt_sem_seg.data[0].numpy() == truth).all()


def test_one_step_and_two_steps_are_not_the_same(small, item):
    """What one enlargement too many would change."""
    _, _, net = small[True]
    once, twice = (f(net, item['img_path'], LABEL, size=(128, 64)) for f in (R.advent, R.two_steps))
    assert 0 < (once != twice).mean() < 0.2


@pytest.mark.parametrize(
    ('name', 'change'),
    [
        ('dlv2_caffe', dict(upsample_steps=2)),
        ('hcl_msflip', dict(fuse_at='label')),
        ('hcl_msflip', dict(aux_fuse='scores')),
        ('crst_test_0912f', dict(rounding='round')),
        ('cbst_mxnet_2048_flip', dict(upsample='bilinear')),
        ('atp_1280_prior', dict(rescale=PRIOR[::-1])),
    ],
)
def test_a_field_that_is_off_is_seen(name, change, small, item):
    protocol = small_size(name)
    model, plain, _ = small[protocol.align_corners]
    right, wrong = (
        predict(p, model, plain, item).pred_sem_seg.data
        for p in (protocol, protocol.model_copy(update=change))
    )
    assert (right != wrong).any()


def test_a_network_without_an_auxiliary_head_has_nothing_to_weigh(item):
    network = config('deeplabv2_pocket')
    model = network.model.to_dict()
    torch.manual_seed(0)
    plain = randomise(build_segmentor(ConfigDict(copy.deepcopy(model))))
    protocol = small_size('hcl_msflip')
    found = predict(protocol, model, plain, item).pred_sem_seg.data[0].numpy()
    expected = R.hcl(Net(plain, network.network), item['img_path'], LABEL, size=(128, 64))
    assert (found == expected).mean() > 0.9995


def test_a_protocol_that_mmseg_follows_by_itself_needs_no_wrapper():
    model = config('deeplabv2_pocket').model.to_dict()
    for name, kind in (('pocket', 'EncoderDecoder'), ('daformer', 'EncoderDecoder'),
                       ('dlv2_caffe', 'ProtocolSegmentor')):  # fmt: skip
        assert predictor(model, load_inference(name))['type'] == kind


def test_windows_cover_an_image_and_end_with_it():
    assert starts(1920, 1080, 420) == [0, 420, 840]
    assert starts(1024, 1024, 512) == [0] and starts(2048, 1024, 512) == [0, 512, 1024]
    assert starts(100, 64, 48) == [0, 36]


@pytest.mark.slow
def test_three_native_images_and_a_resnet_101_give_advents_counts(tmp_path):
    """``dlv2_caffe`` at full size: the confusion matrix equals the restated tester's exactly."""
    from sfda_bench.pocket.world import WorldSpec, ensure_pocket

    counts = {'cityscapes/val': 3}
    ensure_pocket(tmp_path, WorldSpec(size=(1024, 2048), seed=3, counts=counts), workers=1)
    network = config('deeplabv2_r101')
    model = network.model.to_dict()
    torch.manual_seed(0)
    plain = randomise(build_segmentor(ConfigDict(copy.deepcopy(model))))
    net, protocol = Net(plain, network.network), load_inference('dlv2_caffe')
    images = sorted((tmp_path / 'cityscapes/leftImg8bit/val').rglob('*.png'))
    assert len(images) == 3
    total = np.zeros((2, 19, 20), np.int64)
    for path in images:
        label = str(path).replace('leftImg8bit', 'gtFine', 1).replace(
            'leftImg8bit.png', 'gtFine_labelIds.png'
        )  # fmt: skip
        one = dict(
            img_path=str(path), seg_map_path=label, sample_id=path.stem, condition='',
            label_encoding='labelIds', seg_fields=[],
        )  # fmt: skip
        sample = predict(protocol, model, plain, one)
        truth = sample.gt_sem_seg.data[0].numpy()
        ours = sample.pred_sem_seg.data[0].numpy()
        theirs = R.advent(net, path, truth.shape)
        assert truth.shape == (1024, 2048)
        for place, found in enumerate((ours, theirs)):
            total[place] += confusion_counts(found.astype(np.uint8), truth, 19, 255)
    assert total[0].sum() > 3e6 and (total[0] == total[1]).all()
    once, twice = (f(net, images[0], (1024, 2048)) for f in (R.advent, R.two_steps))
    assert (once != twice).any(), 'the comparison would be empty'
