"""Validators against numbers made by an independent program, and against two plain restatements."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sfda_bench.errors import BenchError
from sfda_bench.scoring import neighbours, validators
from sfda_bench.scoring.prediction_statistics import (
    BLOCK,
    Statistics,
    ViewStatistics,
    sampled_pixels,
    softmax,
    statistics_of,
    view_statistics,
)

#: Two images of two pixels with three classes, and what is expected of them. Made by an
#: independent program (float64, natural logarithm).
Z = np.array([[2, 0, 0], [0, 1, 0], [0, 0, 3], [1, 1, 0]], float)
SECOND = np.array([[1, 0, 0], [0, 0, 1], [0, 0, 2], [0, 2, 0]], float)
THIRD = np.array([[0, 2, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]], float)
EXPECTED = {
    'entropy': -0.7562129198757148,
    'entropy_balanced': -0.7277955782586361,
    'msp': 0.673716180922922,
    'diversity': 1.0934730407930955,
    'infomax': 0.33726012091738067,
    'infomax_image': 0.25446651287862215,
    'bnm': 0.6216363658467667,
    'bnm_n': 0.717803846319383,
    'fbnm': 2.59532216529146,
    'softmax_corr': 1.4889913359461635 / math.sqrt(3),
    'corr_c': -1.4889913359461635,
    'mcc': -0.42729489833077455,
    'mano_criterion': 1.5203101434916204,
    'mano_softmax': 0.5676923659468698,
    'mano_taylor': 0.7143601074246999,
    'mano': 0.7143601074246999,
}
OF_VIEWS = {
    'consistency': 0.5,
    'consistency_miou': 0.3333333333333333,
    'consistency_js': -0.05224853831799939,
    'effective_invariance': 0.3798371415710664,
}


def images(pixels: np.ndarray) -> list[np.ndarray]:
    """The two images (K, 1, 2) of four pixels (4, K)."""
    return [half.T[:, None] for half in (pixels[:2], pixels[2:])]


def stacked(pixels: np.ndarray) -> Statistics:
    return Statistics.stack([statistics_of(image) for image in images(pixels)])


def both(first: np.ndarray, second: np.ndarray) -> ViewStatistics:
    pairs = zip(images(first), images(second), strict=True)
    return ViewStatistics.stack([view_statistics(a, b) for a, b in pairs])


def rows(pixels: np.ndarray) -> np.ndarray:
    return softmax(pixels.T).T


@pytest.mark.parametrize('name', EXPECTED)
def test_one_pass(name):
    assert getattr(validators, name)(stacked(Z)) == pytest.approx(EXPECTED[name], abs=1e-9)


@pytest.mark.parametrize('name', OF_VIEWS)
def test_two_views(name):
    found = getattr(validators, name)(both(Z, SECOND))
    assert found == pytest.approx(OF_VIEWS[name], abs=1e-9)


def test_the_named_forms_of_snd():
    p = rows(Z)
    close = lambda value: pytest.approx(value, abs=1e-9)  # noqa: E731
    assert neighbours.snd(p) == close(0.224671769064193)
    assert neighbours.snd(p, temperature=0.5) == close(1.0765710208177233)
    assert neighbours.density(p, 0.05, True).mean() == close(0.24865459853345273)
    assert neighbours.snd_seg(p, np.array([0, 0, 1, 1])) == close(0.00018826886197466998)
    assert neighbours.snd_logits(Z) == close(0.4479521590960654)


def test_a_pool():
    pool = [rows(pixels) for pixels in (Z, SECOND, THIRD)]
    assert neighbours.ensemble_labels(pool).tolist() == [0, 1, 2, 1]
    assert neighbours.ensv(pool) == pytest.approx([0.75, 0.75, 0.5], abs=1e-9)
    expected = [0.6666666666666666, 0.6666666666666666, 0.27777777777777773]
    assert neighbours.ensv_miou(pool) == pytest.approx(expected, abs=1e-9)
    with pytest.raises(BenchError, match='the same pixels'):
        neighbours.ensv([pool[0], pool[1][:2]])


def test_the_soft_max_branch_of_mano_is_for_confident_predictions():
    sure = 9 * Z
    assert validators.mano_criterion(stacked(sure)) > 5
    assert validators.mano(stacked(sure)) == validators.mano_softmax(stacked(sure))


# --- two restatements on random maps ------------------------------------------------------------


def plain(pixels: np.ndarray) -> dict[str, float]:
    """Loops over pixels and classes with the formulae of the papers."""
    n, k = pixels.shape
    p = [[math.exp(z) / sum(map(math.exp, row)) for z in row] for row in pixels]
    each = [-sum(q * math.log(q) for q in row) for row in p]
    chosen = [row.index(max(row)) for row in p]
    mean = [sum(row[c] for row in p) / n for c in range(k)]
    by_class = [
        sum(h for h, y in zip(each, chosen, strict=True) if y == c) / chosen.count(c)
        for c in sorted(set(chosen))
    ]
    weight = [1 + math.exp(-h) for h in each]
    weight = [w * n / sum(weight) for w in weight]
    confusion = [
        [sum(w * row[a] * row[b] for w, row in zip(weight, p, strict=True)) for b in range(k)]
        for a in range(k)
    ]
    off = sum(confusion[a][b] / sum(confusion[a]) for a in range(k) for b in range(k) if a != b)
    series = [[1 + z + z * z / 2 for z in row] for row in pixels]
    series = [[t - min(row) for t in row] for row in series]
    diversity = -sum(q * math.log(q) for q in mean)
    return {
        'entropy': -sum(each) / n,
        'entropy_balanced': -sum(by_class) / len(by_class),
        'msp': sum(map(max, p)) / n,
        'diversity': diversity,
        'infomax': diversity - sum(each) / n,
        'mcc': -off / k,
        'mano_softmax': (sum(q**4 for row in p for q in row) / (n * k)) ** 0.25,
        'mano_taylor': (sum((t / sum(r)) ** 4 for r in series for t in r) / (n * k)) ** 0.25,
        'mano_criterion': -sum(math.log(q) for row in p for q in row) / (n * k),
    }


def arrays(pixels: np.ndarray) -> dict[str, float]:
    """Arrays of all pixels, products by einsum, norms by a singular value decomposition."""
    n, k = pixels.shape
    p = np.exp(pixels) / np.exp(pixels).sum(1, keepdims=True)
    each = -np.einsum('nk,nk->n', p, np.log(p))
    singular = np.linalg.svd(p, compute_uv=False)
    product = np.einsum('na,nb->ab', p, p)
    weighted = np.einsum('n,na,nb->ab', 1 + np.exp(-each), p, p)
    weighted /= weighted.sum(1, keepdims=True)
    return {
        'entropy': -each.mean(),
        'msp': p.max(1).mean(),
        'bnm': singular.sum() / n,
        'bnm_n': singular.sum() / math.sqrt(n * k),
        'fbnm': np.linalg.norm(p, axis=0).sum(),
        'softmax_corr': np.trace(product) / np.sqrt((product**2).sum() * k),
        'corr_c': -np.trace(product) / np.sqrt((product**2).sum()),
        'mcc': -(weighted.sum() - np.trace(weighted)) / k,
        'mano_softmax': np.power(np.mean(p**4), 0.25),
    }


@pytest.mark.parametrize('restated', [plain, arrays])
def test_more_pixels_than_a_block_as_restated(restated):
    pixels = np.random.default_rng(3).normal(size=(BLOCK + 77, 5)) * 2
    found = statistics_of(pixels.T)
    for name, expected in restated(pixels).items():
        assert getattr(validators, name)(found) == pytest.approx(expected, abs=1e-9), name


def test_float32_maps_agree_with_float64():
    logits = np.random.default_rng(0).normal(size=(19, 64, 128)) * 4
    exact, fast = statistics_of(logits), statistics_of(logits.astype(np.float32))
    for name in EXPECTED:
        call = getattr(validators, name)
        assert call(fast) == pytest.approx(call(exact), rel=2e-6), name


# --- images, weights, pixels --------------------------------------------------------------------


@pytest.mark.parametrize('name', EXPECTED)
def test_weights_count_images_as_often_as_they_say(name):
    call, found = getattr(validators, name), stacked(Z)
    assert call(found, np.array([3, 1])) == pytest.approx(call(found.take([0, 1, 0, 0])), abs=1e-12)
    assert call(found, np.array([1, 0])) == pytest.approx(call(found.take([0])), abs=1e-12)


def test_weights_of_views():
    found = both(Z, SECOND)
    for name in OF_VIEWS:
        call = getattr(validators, name)
        assert call(found, np.array([2, 1])) == pytest.approx(call(found.take([0, 0, 1])))


def test_pixels_that_are_padding_do_not_count():
    logits = np.random.default_rng(1).normal(size=(3, 4, 6))
    padded = np.concatenate([logits, np.full((3, 2, 6), 50.0)], axis=1)
    valid = np.arange(6)[:, None].repeat(6, 1) < 4
    a, b = statistics_of(padded, valid), statistics_of(logits)
    for name, value in a.arrays().items():
        np.testing.assert_allclose(value, b.arrays()[name], rtol=1e-12)
    pair = view_statistics(padded, padded[::-1], valid)
    assert pair.confusion.sum() == 24


def test_equal_logits_count_as_the_first_class_and_as_uniform():
    found = statistics_of(np.zeros((4, 1, 3)))
    assert found.histogram.tolist() == [[3, 0, 0, 0]]
    assert validators.mano_taylor(found) == pytest.approx(0.25)
    assert validators.entropy(found) == pytest.approx(-math.log(4))


def test_saturated_predictions_stay_finite():
    """One class everywhere, probabilities that underflow: the optimum of half of the validators."""
    logits = np.zeros((19, 8, 8), np.float32)
    logits[3] = 200
    found = statistics_of(logits)
    assert validators.entropy(found) == validators.entropy_balanced(found) == 0
    assert validators.msp(found) == 1
    assert validators.corr_c(found) == pytest.approx(-1)
    assert validators.softmax_corr(found) == pytest.approx(1 / math.sqrt(19))
    assert validators.infomax(found) == 0
    assert math.isfinite(validators.mcc(found))
    assert validators.predicted_classes(found) == 1
    assert validators.effective_classes(found) == pytest.approx(1)


@pytest.mark.parametrize('bad', [math.nan, math.inf])
def test_logits_that_are_no_numbers_are_refused(bad):
    logits = np.zeros((3, 2, 2))
    logits[1, 1, 1] = bad
    with pytest.raises(BenchError, match='not finite'), np.errstate(invalid='ignore'):
        statistics_of(logits)


def test_an_image_takes_less_than_ten_kilobytes():
    logits = np.random.default_rng(0).normal(size=(19, 4, 4)).astype(np.float32)
    kept = [*statistics_of(logits).arrays().values()]
    kept += view_statistics(logits, logits).arrays().values()
    assert sum(value.nbytes for value in kept) <= 10_240


def test_sampled_pixels_are_fixed_and_spread():
    assert sampled_pixels(3, 4, 12).tolist() == list(range(12))
    found = sampled_pixels(128, 256, 512)
    assert 480 <= len(found) <= 512 and len(set(found)) == len(found)
    cells = np.bincount(found // 256 // 32 * 8 + found % 256 // 32, minlength=32)
    assert cells.min() >= 12 and cells.max() <= 20, 'sixteen a cell of 32 x 32 pixels'
    assert found[:3].tolist() == [2, 195, 227], 'other pixels would make other numbers'
