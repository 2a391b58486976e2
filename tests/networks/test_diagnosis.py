"""The gate finds a wrong convention and names it: on the pocket world, and on CamVid (marker)."""

import copy
import os
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmseg.structures import SegDataSample
from PIL import Image

from sfda_bench.data.decode import decode_label
from sfda_bench.data.layout import list_split
from sfda_bench.networks.build import build_segmentor, logits_of
from sfda_bench.networks.checkpoints.convert import convert_checkpoint
from sfda_bench.networks.diagnosis import (
    Variant,
    candidate_variants,
    diagnose,
    match_classes,
    passes,
    refusal,
)
from sfda_bench.pocket.world import WorldSpec, ensure_pocket
from sfda_bench.scoring.confusion import confusion_counts
from tests.networks.helpers import ROOT, config

CAMVID = [3, 4, 1, 1, 7, 2, 6, 6, 5, 5, 0, 9, 10, 8, 8, 8, 8, 10, 10]


def normalised(model, images):
    """BGR uint8 (N, 3, H, W) through the model's own preprocessor."""
    samples = [SegDataSample() for _ in images]
    return model.data_preprocessor({'inputs': list(images), 'data_samples': samples})['inputs']


def predict(model, images, align):
    with torch.no_grad():
        logits = logits_of(model.eval(), normalised(model, images))
    size = images.shape[2:]
    return F.interpolate(logits, size=size, mode='bilinear', align_corners=align).argmax(1)


class Scorer:
    """mIoU of a variant with fixed weights on a few images held in memory."""

    def __init__(self, state, images, labels, classes, task_map=None):
        self.state, self.images, self.labels = state, images, labels
        self.classes, self.task_map = classes, task_map

    def counts(self, variant):
        model = build_segmentor(variant.model)
        model.load_state_dict(self.state)
        prediction = predict(model, self.images, variant.network['align_corners']).numpy()
        order = variant.prediction_map or self.task_map
        if order:
            prediction = np.array(order)[prediction]
        pairs = zip(prediction, self.labels.numpy(), strict=True)
        return sum(confusion_counts(p, t, self.classes).astype(int) for p, t in pairs)

    def __call__(self, variant):
        counts = self.counts(variant)
        diagonal = counts.diagonal()
        union = counts.sum(1) + counts[:, : self.classes].sum(0) - diagonal
        return 100 * float(np.nanmean(np.where(union > 0, diagonal / np.maximum(union, 1), np.nan)))


def read(dataset, root, split, encoding, step=1):
    samples = list_split(dataset, root, split)[::step]
    images = [np.asarray(Image.open(s.image).convert('RGB'))[:, :, ::-1].copy() for s in samples]
    labels = [decode_label(s.label, encoding) for s in samples]
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2), torch.from_numpy(
        np.stack(labels)
    )


def small_network():
    """The pocket network with two branches, as a checkpoint of the AdaptSegNet line would be.

    The two branches that never train keep initial noise, made strong enough to matter at 128
    channels (the real heads read 2048).
    """
    loaded = config('deeplabv2_pocket')
    loaded.model.decode_head.num_branches = 2
    return loaded.network.to_dict(), loaded.model.to_dict()


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A small network trained for some seconds on rendered streets: right config, scorer, mIoU."""
    root = tmp_path_factory.mktemp('pocket')
    ensure_pocket(root, WorldSpec((48, 96), 0, {'cityscapes/train': 32, 'cityscapes/val': 12}), 1)
    data = [read('cityscapes', root / 'cityscapes', s, 'labelIds') for s in ('train', 'val')]
    network, model_cfg = small_network()
    torch.manual_seed(0)
    model = build_segmentor(model_cfg)
    for conv in model.decode_head.conv2d_list[2:]:
        torch.nn.init.normal_(conv.weight, std=0.1)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    images, labels = data[0]
    for step in range(120):
        index = torch.arange(4 * step, 4 * step + 4) % len(images)
        model.train()
        logits = logits_of(model, normalised(model, images[index]))
        up = F.interpolate(logits, size=images.shape[2:], mode='bilinear', align_corners=True)
        optimizer.zero_grad()
        F.cross_entropy(up, labels[index].long(), ignore_index=255).backward()
        optimizer.step()
    scorer = Scorer(model.state_dict(), *data[1], 19)
    return network, model_cfg, scorer, scorer(Variant('', '', network, model_cfg))


def wrong_mean(network, model):
    network['input']['mean'] = model['data_preprocessor']['mean'] = [0.0, 0.0, 0.0]


def swapped_channels(network, model):
    network['input']['channel_order'] = 'rgb'
    model['data_preprocessor']['bgr_to_rgb'] = True


def all_branches(network, model):
    model['decode_head']['num_branches'] = 4


FAULTS = {
    'mean': (wrong_mean, None),
    'channel order': (swapped_channels, 'BGR instead of RGB'),
    'branches': (all_branches, '2 branches instead of 4'),
}


@pytest.mark.parametrize('cause', FAULTS)
def test_gate_names_the_cause_on_the_pocket_world(trained, cause):
    network, model, scorer, right = trained
    network, model = copy.deepcopy(network), copy.deepcopy(model)
    FAULTS[cause][0](network, model)
    measured = scorer(Variant('', '', network, model))
    assert not passes(measured, right, 1.0)
    found = diagnose(scorer, network, model, expected=right, measured=measured)
    assert found.best is not None and found.best.cause == cause, refusal(found, 'x', 'y')
    if FAULTS[cause][1]:
        assert found.best.change == FAULTS[cause][1]
    text = str(refusal(found, 'x.pth', network['name']))
    assert 'restores the score' in text and f'the cause is the {cause}' in text


def test_gate_names_a_class_order(trained):
    network, model, scorer, right = trained
    order = np.random.default_rng(0).permutation(19)
    state = {k: v[order] if k.startswith('decode_head') else v for k, v in scorer.state.items()}
    permuted = Scorer(state, scorer.images, scorer.labels, 19)
    given = Variant('', '', network, model)
    found = diagnose(
        permuted,
        network,
        model,
        expected=right,
        measured=permuted(given),
        counts=permuted.counts(given),
    )
    assert found.best is not None and found.best.cause == 'class order'


def test_candidates_come_in_the_order_of_likelihood():
    loaded = config('deeplabv2_r101')
    causes = [v.cause for v in candidate_variants(loaded.network, loaded.model)]
    first = [c for i, c in enumerate(causes) if c not in causes[:i] and ' and ' not in c]
    assert first == ['channel order', 'mean', 'branches', 'align_corners', 'resize']
    changes = [v.change for v in candidate_variants(loaded.network, loaded.model)]
    assert '2 branches instead of 4' in changes and 'align_corners=False' in changes
    assert 'ImageNet statistics in BGR' in changes and 'Caffe statistics in BGR' not in changes


def test_variants_stay_consistent_and_leave_the_original_alone():
    from sfda_bench.networks.declare import check_declaration

    loaded = config('deeplabv2_r101_multi')
    before = loaded.to_dict()
    for variant in candidate_variants(loaded.network, loaded.model):
        check_declaration(variant.network, variant.model)
    assert loaded.to_dict() == before


def test_sixteen_outputs_may_stand_for_the_nineteen():
    loaded = config('deeplabv2_r101')
    loaded.network.num_classes = 16
    variants = candidate_variants(loaded.network, loaded.model)
    orders = [v for v in variants if v.cause == 'class order']
    assert [v.prediction_map[-1] for v in orders] == [18]


def test_nothing_restores_a_broken_checkpoint():
    loaded = config('deeplabv2_pocket')
    found = diagnose(lambda v: 3.0, loaded.network, loaded.model, expected=40.0, measured=3.1)
    assert found.best is None
    assert 'none of the usual causes' in str(refusal(found, 'x.pth', 'deeplabv2_pocket'))


def test_one_change_is_preferred_to_two():
    loaded = config('deeplabv2_r101')

    def score(variant):
        return 36.6 if 'and' in variant.cause else 36.2 if variant.cause == 'channel order' else 10

    found = diagnose(score, loaded.network, loaded.model, expected=36.6, measured=10)
    assert found.best.cause == 'channel order'


def test_matching_of_classes():
    counts = np.array([[0, 9, 0, 1], [8, 0, 1, 0], [0, 0, 7, 0]])
    assert match_classes(counts) == [1, 0, 2]
    assert match_classes(np.zeros((3, 4))) == [0, 1, 2]


@pytest.mark.data
@pytest.mark.parametrize('fault', ['mean', 'channel order'])
def test_gate_names_the_cause_on_camvid(fault):
    root = Path(os.environ.get('SFDA_DATA_ROOT', ROOT.parent / 'shared' / 'data'))
    loaded = config('cgnet')
    network, model = loaded.network.to_dict(), loaded.model.to_dict()
    state = convert_checkpoint(root / network['source']['checkpoint'], 'cgnet', model)
    images, labels = read('camvid', root / 'camvid', 'test', 'camvid', 12)  # 20 images
    scorer = Scorer(state, images, labels, 11, CAMVID)
    right = scorer(Variant('', '', network, model))
    if fault == 'mean':
        values = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
        network['input'].update(mean=values[0], std=values[1])
        model['data_preprocessor'].update(mean=values[0], std=values[1])
    else:
        network['input']['channel_order'] = 'bgr'
        model['data_preprocessor']['bgr_to_rgb'] = False
    measured = scorer(Variant('', '', network, model))
    assert not passes(measured, right, 1.0)
    found = diagnose(
        scorer, network, model, expected=right, measured=measured, task_map=CAMVID, resizes=False
    )
    assert found.best is not None and found.best.cause == fault, refusal(found, 'x', 'y')


def test_an_easier_subset_shifts_the_target():
    """The right variant is found although the few images score ten points higher throughout."""
    loaded = config('deeplabv2_r101')

    def score(variant):
        return {'channel order': 46.0, 'mean': 38.0}.get(variant.cause, 30.0)

    found = diagnose(score, loaded.network, loaded.model, expected=36.6, measured=20.0)
    assert found.best.cause == 'channel order'
