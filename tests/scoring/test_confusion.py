"""Confusion counts against hand-made cases and the two reference evaluators."""

import numpy as np
import pytest

from sfda_bench.errors import BenchError
from sfda_bench.labels import CITYSCAPES_TRAIN_TO_ID
from sfda_bench.scoring import confusion
from sfda_bench.scoring.confusion import absent, confusion_counts, iou, mean_iou

K = 19


def labels_and_predictions(seed=0, size=(60, 90), void=True, classes=K):
    """Blocky truth with void, predictions that are right about 70 % of the time."""
    rng = np.random.default_rng(seed)
    truth = np.kron(rng.integers(0, classes, (size[0] // 6, size[1] // 6)), np.ones((6, 6), int))
    prediction = np.where(rng.random(truth.shape) < 0.7, truth, rng.integers(0, K, truth.shape))
    truth = np.where(rng.random(truth.shape) < 0.1, 255, truth).astype(np.uint8)
    if void:
        prediction = np.where(rng.random(truth.shape) < 0.05, 255, prediction)
    return prediction.astype(np.uint8), truth


def slow_counts(prediction, truth, k):
    counts = np.zeros((k, k + 1), np.int64)
    for p, t in zip(prediction.ravel().tolist(), truth.ravel().tolist(), strict=True):
        if 0 <= t < k:
            counts[t, p if 0 <= p < k else k] += 1
    return counts


def test_hand_made_case():
    truth = np.array([[0, 0, 1], [1, 255, 2]], np.uint8)
    prediction = np.array([[0, 1, 1], [255, 0, 7]], np.uint8)
    counts = confusion_counts(prediction, truth, 3)
    assert counts.tolist() == [[1, 1, 0, 0], [0, 1, 0, 1], [0, 0, 0, 1]]
    assert np.allclose(iou(counts), [1 / 2, 1 / 3, 0.0])
    assert mean_iou(counts) == pytest.approx((1 / 2 + 1 / 3) / 3)


def test_case_f_of_the_iapc_sheet():
    truth = np.array([0, 0, 1, 1, 2, 255], np.uint8)
    prediction = np.array([0, 1, 1, 1, 0, 2], np.uint8)
    counts = confusion_counts(prediction, truth, 4)
    assert np.allclose(iou(counts), [1 / 3, 2 / 3, 0.0, np.nan], equal_nan=True)
    assert mean_iou(counts) == pytest.approx(1 / 3)


@pytest.fixture(params=['opencv', 'numpy'])
def histogram(request, monkeypatch):
    """Both ways to count."""
    if request.param == 'numpy':
        monkeypatch.setattr(confusion, '_opencv', lambda: None)


@pytest.mark.parametrize('dtype', [np.uint8, np.int16, np.int32, np.int64])
def test_equals_a_loop_for_every_dtype(dtype, histogram):
    prediction, truth = labels_and_predictions(1)
    prediction, truth = prediction.astype(dtype), truth.astype(dtype)
    if np.issubdtype(dtype, np.signedinteger):
        prediction[0, :5] = -1
        truth[1, :5] = -1
    if dtype == np.int32:
        prediction[2, :5] = 256  # would wrap round to class 0 in a byte
    expected = slow_counts(prediction, truth, K)
    assert (confusion_counts(prediction, truth, K) == expected).all()


@pytest.mark.parametrize('shape', [(0,), (7,), (3, 4, 5), ()])
def test_any_shape(shape, histogram):
    labels = np.random.default_rng(0).integers(0, 5, shape)
    counts = confusion_counts(labels, labels, 5)
    assert counts.sum() == labels.size == np.trace(counts)


def test_views_are_counted_as_they_look(histogram):
    prediction, truth = labels_and_predictions(2)
    expected = slow_counts(prediction[::2, ::-1], truth[::2, ::-1], K)
    assert (confusion_counts(prediction[::2, ::-1], truth[::2, ::-1], K) == expected).all()


def test_another_ignore_value():
    truth = np.array([0, 1, 2])
    counts = confusion_counts(truth, truth, 3, ignore=1)
    assert np.diagonal(counts).tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    'prediction, truth, k',
    [
        (np.zeros((2, 2), int), np.zeros((2, 3), int), 3),
        (np.zeros((2, 2)), np.zeros((2, 2), int), 3),
        (np.zeros((2, 2), int), np.zeros((2, 2), int), 256),
    ],
)
def test_refuses_what_it_cannot_count(prediction, truth, k):
    with pytest.raises(BenchError):
        confusion_counts(prediction, truth, k)


def test_absent_and_leading_axes():
    counts = np.zeros((2, 3, 4), np.int64)
    counts[0] = [[5, 0, 2, 0], [0, 0, 0, 0], [0, 0, 4, 0]]  # class 1 neither in truth nor predicted
    counts[1] = [[5, 2, 0, 0], [0, 0, 0, 0], [0, 0, 4, 0]]  # class 1 predicted, not in the truth
    values = iou(counts)
    assert np.isnan(values[0, 1]) and values[1, 1] == 0
    assert mean_iou(counts).shape == (2,)
    assert mean_iou(counts)[0] == pytest.approx((5 / 7 + 4 / 6) / 2)
    assert absent(counts).tolist() == [[False, True, False]] * 2
    assert np.isnan(mean_iou(np.zeros((3, 4), int)))


def reference_iou_metric(pairs, k):
    """Per-class IoU (0..1) of mmseg's IoUMetric."""
    torch = pytest.importorskip('torch')
    metrics = pytest.importorskip('mmseg.evaluation.metrics')
    metric = metrics.IoUMetric(iou_metrics=['mIoU'])
    parts = [
        metric.intersect_and_union(
            torch.from_numpy(p.astype(np.int64)), torch.from_numpy(t.astype(np.int64)), k, 255
        )
        for p, t in pairs
    ]
    sums = [sum(part) for part in zip(*parts, strict=True)]
    return metrics.IoUMetric.total_area_to_metrics(*sums, ['mIoU'])['IoU']


def reference_cityscapes(pairs, folder):
    """Per-class IoU (0..1) of cityscapesscripts on label-id PNGs, and their mean."""
    module = pytest.importorskip('cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling')
    from PIL import Image

    to_id = np.zeros(256, np.uint8)  # void -> id 0 (unlabeled)
    to_id[:K] = CITYSCAPES_TRAIN_TO_ID
    args = module.args
    args.evalInstLevelScore = False
    matrix = module.generateMatrix(args)
    for i, (prediction, truth) in enumerate(pairs):
        files = [folder / f'{i}_{name}.png' for name in ('prediction', 'truth_labelIds')]
        for file, array in zip(files, (prediction, truth), strict=True):
            Image.fromarray(to_id[array]).save(file)
        module.evaluatePair(str(files[0]), str(files[1]), matrix, {}, {}, args)
    scores = {i: module.getIouScoreForLabel(i, matrix, args) for i in CITYSCAPES_TRAIN_TO_ID}
    return np.array(list(scores.values())), module.getScoreAverage(scores, args)


@pytest.mark.parametrize('void', [False, True])
def test_equals_mmseg(void):
    pairs = [labels_and_predictions(seed, void=void) for seed in range(4)]
    counts = sum(confusion_counts(p, t, K) for p, t in pairs)
    expected = np.asarray(reference_iou_metric(pairs, K))
    assert np.abs(iou(counts) - expected).max() < 1e-6
    assert mean_iou(counts) == pytest.approx(expected.mean(), abs=1e-6)


def test_void_predictions_cannot_improve_a_score():
    """Masking the wrong pixels as void leaves the row sum; dropping them would gain points."""
    prediction, truth = labels_and_predictions(void=False)
    masked = np.where((prediction != truth) & (prediction % 2 == 0), 255, prediction)
    counts = confusion_counts(masked, truth, K)
    assert counts[:, :K].sum() < counts.sum() == (truth != 255).sum()
    dropped = counts.copy()
    dropped[:, K] = 0
    assert mean_iou(dropped) > mean_iou(counts) + 0.01


@pytest.mark.parametrize('classes', [19, 16])
def test_equals_cityscapesscripts_with_void_predictions(tmp_path, classes):
    pairs = [labels_and_predictions(seed, classes=classes) for seed in range(4)]
    counts = sum(confusion_counts(p, t, K) for p, t in pairs)
    expected, mean = reference_cityscapes(pairs, tmp_path)
    assert np.allclose(iou(counts), expected, atol=1e-6, equal_nan=True)
    assert mean_iou(counts) == pytest.approx(mean, abs=1e-6)
