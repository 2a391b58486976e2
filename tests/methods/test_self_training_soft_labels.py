"""Soft labels of a view are those of the whole image, transformed as the image is."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.structures import BaseDataElement
from mmseg.structures import SegDataSample

from sfda_bench.adapt.selection import soft_labels
from sfda_bench.atomic import write_text
from sfda_bench.errors import BenchError, DataError
from sfda_bench.methods.self_training.soft_labels import ARRAY, SoftLabelWriter, soft_window
from sfda_bench.methods.self_training.soft_views import PackSoftLabels, WithSoftLabels, read_soft
from tests.methods.helpers import losses_of, plain

SIZE = (64, 128)
THETA = torch.tensor([0.2 + 0.03 * k for k in range(19)])
ALPHA = 0.25
#: Full maps are averages where they were scaled; on cells of four pixels that shows.
LIMITS = {0.5: 0.06, 0.8: 0.055, 1.0: 1e-3, 1.5: 0.05}


def inputs() -> torch.Tensor:
    torch.manual_seed(0)
    return torch.nn.functional.interpolate(torch.randn(2, 3, 4, 8), size=SIZE, mode='bicubic')


def predicted(flip: bool) -> list:
    """Two samples predicted by a network with the statistics of its images, and a firm head."""
    predictor = plain('SoftLabelPredictor', scale=0.9, flip=flip)
    with torch.no_grad():
        predictor.student.train()
        for _ in range(30):
            predictor.logits_of(predictor.student, inputs())
        predictor.eval()
        for parameter in predictor.student.decode_head.parameters():
            parameter *= 12
    samples = [SegDataSample(metainfo={'ori_shape': SIZE, 'sample_id': f'i{k}'}) for k in (0, 1)]
    return predictor.predict(inputs(), samples)


@pytest.fixture(scope='module')
def whole() -> tuple[dict, torch.Tensor]:
    """A prediction of an image, and the soft labels at full size, 0 where a pixel is not kept."""
    found = predicted(flip=False)[1]
    soft, kept = soft_labels(found.probabilities, THETA, ALPHA)
    assert 0.1 < float(kept.float().mean()) < 0.95
    assert len(soft.argmax(dim=0)[kept].unique()) > 4
    return {ARRAY: found.log_probabilities, 'probabilities': found.probabilities}, soft * kept


def test_probabilities_of_both_mirrorings_are_averaged():
    one, both = (predicted(flip)[0] for flip in (False, True))
    assert both.probabilities.sub(one.probabilities).abs().max() > 0.1
    # corners are corners at either resolution
    corners = np.s_[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    coarse, fine = both.log_probabilities[corners].float().exp(), both.probabilities[corners]
    assert torch.allclose(coarse, fine, atol=1e-3)


def write(folder: Path, whole: tuple) -> dict:
    """An item of a data set whose labels the stage wrote."""
    write_text(
        folder / 'thresholds.json',
        f'{{"theta": {THETA.tolist()}, "tie_keep": {[1.0] * 19}, "pixels": {[1] * 19}, '
        '"portion": 0.2, "rare": []}',
    )
    writer = SoftLabelWriter(str(folder / 'artifacts'), str(folder / 'thresholds.json'), ALPHA)
    writer.process(None, [{'sample_id': 'i1', **whole[0]}])
    labels = cv2.imread(str(folder / 'artifacts' / 'labels' / 'i1.png'), cv2.IMREAD_UNCHANGED)
    image = np.arange(SIZE[0] * SIZE[1] * 3).reshape(*SIZE, 3).astype(np.uint8)
    return {
        'img': image, 'img_shape': SIZE, 'ori_shape': SIZE, 'gt_seg_map': labels,
        'seg_fields': ['gt_seg_map'], 'pseudo_label': True,
        'soft_path': str(folder / 'artifacts' / 'soft' / 'i1.npz'),
    }  # fmt: skip


def test_the_file_is_small_and_exact(tmp_path, whole):
    item = write(tmp_path, whole)
    logs = read_soft(item['soft_path'])
    assert logs.dtype == np.float16 and logs.shape[0] == 19
    assert logs[0].size * 18 < SIZE[0] * SIZE[1]
    assert np.array_equal(logs, whole[0][ARRAY].numpy())
    kept = item['gt_seg_map'] != 255
    assert np.array_equal(kept, whole[1].sum(dim=0).numpy() > 0)


def test_without_scaling_they_are_those_of_the_whole_image(whole):
    rows, columns = torch.arange(SIZE[0]), torch.arange(SIZE[1])
    found = soft_window(whole[0][ARRAY], rows, columns, SIZE, THETA, ALPHA, True)
    kept = whole[1].sum(dim=0) > 0
    away = (found - whole[1]).abs().amax(dim=0)[kept]
    assert float(away.mean()) < 2e-4 and float(away.quantile(0.99)) < 2e-3


def transformed(soft: torch.Tensor, size: tuple[int, int]) -> np.ndarray:
    """The published way: full maps resized bilinearly, then normalised, 0 where nothing is kept."""
    maps = soft.permute(1, 2, 0).numpy()
    parts = [cv2.resize(maps[..., k : k + 3], size[::-1]) for k in range(0, 18, 3)]
    parts.append(cv2.resize(maps[..., 18], size[::-1])[..., None])
    maps = np.concatenate(parts, axis=2)
    return maps / np.maximum(maps.sum(axis=2, keepdims=True), 1e-12)


@pytest.mark.parametrize('factor', list(LIMITS))
def test_soft_labels_follow_scale_crop_and_mirroring(tmp_path, whole, factor):
    item = write(tmp_path, whole)
    crop = (40, 72)
    steps = [
        {'type': 'RandomScale', 'factors': [factor]},
        {'type': 'MinedCrop', 'crop_size': crop},
        {'type': 'RandomFlip', 'prob': 1.0},
    ]
    np.random.seed(4)
    view = WithSoftLabels(steps).transform(item)
    size = (round(SIZE[0] * factor), round(SIZE[1] * factor))
    scaled = transformed(whole[1], size)
    down, right = max(0, crop[0] - size[0]), max(0, crop[1] - size[1])
    scaled = np.pad(scaled, ((0, down), (0, right), (0, 0)))
    # the same draws place the crop: one for the scale, one for the chance to mine
    np.random.seed(4)
    np.random.randint(1), np.random.random()
    top = np.random.randint(size[0] + down - crop[0] + 1)
    left = np.random.randint(size[1] + right - crop[1] + 1)
    expected = scaled[top : top + crop[0], left : left + crop[1]][:, ::-1]
    assert view['img'].shape[:2] == crop
    soft = {key: torch.from_numpy(value) for key, value in view['soft'].items()}
    kept = soft['labels'].numpy() != 255
    assert np.array_equal(kept, expected.sum(axis=2) > 1e-6)

    def away(down: float, right: float) -> np.ndarray:
        rows, columns = soft['rows'] + down, soft['columns'] + right
        found = soft_window(soft[ARRAY], rows, columns, SIZE, THETA, ALPHA, True)
        return np.abs(found.permute(1, 2, 0).numpy() - expected).max(axis=2)[kept]

    assert away(0, 0).mean() < LIMITS[factor]
    # half a pixel beside is worse
    for shift in ((0.5, 0), (-0.5, 0), (0, 0.5), (0, -0.5)):
        assert away(*shift).mean() > 1.2 * away(0, 0).mean()


def test_other_geometry_is_refused(tmp_path, whole):
    item = write(tmp_path, whole)
    with pytest.raises(BenchError, match=r'Rotate moves pixels .* cannot follow'):
        WithSoftLabels([{'type': 'RandomRotate', 'prob': 1.0, 'degree': (40, 41)}]).transform(item)


def test_damaged_files_are_named(tmp_path, whole):
    path = Path(write(tmp_path, whole)['soft_path'])
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(DataError, match=r'i1\.npz cannot be read'):
        read_soft(path)


def test_the_step_uses_them_and_needs_no_copy_of_the_network(tmp_path, whole):
    item = write(tmp_path, whole)
    item['img_path'] = 'i1.png'
    steps = [{'type': 'RandomFlip', 'prob': 1.0}]
    packed = PackSoftLabels(meta_keys=('ori_shape',)).transform(
        WithSoftLabels(steps).transform(item)
    )
    sample = packed['data_samples']
    assert isinstance(sample.soft, BaseDataElement)
    thresholds = str(tmp_path / 'thresholds.json')
    adapter = plain(
        'LRENT', losses=losses_of('crst_lrent'), thresholds=thresholds, alpha=ALPHA
    ).train()
    assert not any(key.startswith('labeller') for key in adapter.state_dict())
    images = packed['inputs'][None].float() / 255
    loss = adapter.loss(images, [sample])['loss_label']
    expected = whole[1].flip(dims=(2,))
    log_p = adapter.logits(images, SIZE).log_softmax(dim=1)[0]
    by_hand = -(expected * log_p).sum() / (expected.sum(dim=0) > 0).sum()
    assert float(loss.detach()) == pytest.approx(float(by_hand.detach()), rel=1e-4)
    del sample.soft
    with pytest.raises(BenchError, match='without soft labels'):
        adapter.loss(images, [sample])
    viewing = plain(
        'LRENT', losses=losses_of('crst_lrent'), thresholds=thresholds, alpha=ALPHA, labels='view'
    ).train()
    assert any(key.startswith('labeller') for key in viewing.state_dict())
    other = viewing.loss(images, [sample])['loss_label']
    assert float(other.detach()) != pytest.approx(float(loss.detach()), rel=2e-3)


def test_source_images_beside_target_ones_keep_their_labels(tmp_path, whole):
    item = write(tmp_path, whole)
    item['img_path'] = 'i1.png'
    packed = PackSoftLabels(meta_keys=('ori_shape',)).transform(WithSoftLabels([]).transform(item))
    adapter = plain(
        'LRENT',
        losses=losses_of('crst_lrent'),
        thresholds=str(tmp_path / 'thresholds.json'),
        alpha=ALPHA,
    )
    adapter.waiting = [(1, packed['data_samples'].soft, SIZE)]
    labels = torch.stack([torch.full(SIZE, 7), packed['data_samples'].soft.labels.long()])
    labels[0, :5] = 255
    found = adapter.soft_targets(torch.zeros(2, 3, *SIZE), labels, torch.tensor([0.0, 1.0]))
    assert float(found[0, 7].sum()) == (SIZE[0] - 5) * SIZE[1] == float(found[0].sum())
    assert torch.allclose(found[1].sum(dim=0), (labels[1] != 255).float(), atol=1e-5)
