"""Throughput of scoring against cityscapesscripts, and of the bootstrap."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sfda_bench.errors import BenchError
from sfda_bench.labels import CITYSCAPES_CLASSES, CITYSCAPES_TRAIN_TO_ID, IGNORE
from sfda_bench.scoring.confusion import confusion_counts
from sfda_bench.scoring.statistics import Parts, bootstrap_weights, paired_bootstrap

CLASSES = len(CITYSCAPES_CLASSES)


def street_like(rng: np.random.Generator, height: int = 1024, width: int = 2048) -> np.ndarray:
    """(height, width) uint8 train ids in blocks, some void."""
    blocks = rng.integers(0, CLASSES + 1, (height // 32, width // 32))
    labels = np.kron(blocks, np.ones((32, 32), np.int64))
    return np.where(labels == CLASSES, IGNORE, labels).astype(np.uint8)


def pairs(images: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Predictions that are right for about 80 % of the pixels, smooth as a network's are."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(images):
        truth = street_like(rng)
        wrong = np.kron(rng.random((128, 256)) < 0.2, np.ones((8, 8), bool)) | (truth == IGNORE)
        found.append((np.where(wrong, np.roll(truth, 48, axis=1) % CLASSES, truth), truth))
    return found


def best_time(call: Callable[[], Any], repeat: int) -> float:
    """CPU seconds of the fastest of ``repeat`` calls, after one to warm up.

    CPU time, because a busy machine would otherwise decide the ratio.
    """
    call()
    times = []
    for _ in range(repeat):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return min(times)


def reference(data: list[tuple[np.ndarray, np.ndarray]], folder: Path) -> Callable[[], Any]:
    """A call that counts the same images with cityscapesscripts, from PNG files as it does."""
    try:
        official = import_module('cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling')
    except ImportError:
        raise BenchError(
            'cityscapesscripts is not installed', 'the reference evaluator', 'make install'
        ) from None
    to_id = np.zeros(256, np.uint8)
    to_id[:CLASSES] = CITYSCAPES_TRAIN_TO_ID
    files = []
    for i, (prediction, truth) in enumerate(data):
        names = (folder / f'{i}_prediction.png', folder / f'{i}_truth_labelIds.png')
        for path, labels in zip(names, (prediction, truth), strict=True):
            Image.fromarray(to_id[labels]).save(path)
        files.append((str(names[0]), str(names[1])))
    official.args.evalInstLevelScore = False

    def call() -> np.ndarray:
        matrix = official.generateMatrix(official.args)
        for prediction, truth in files:
            official.evaluatePair(prediction, truth, matrix, {}, {}, official.args)
        return matrix

    return call


def measure(images: int = 3, repeat: int = 5) -> dict[str, float]:
    """Milliseconds an image of each side and step, their ratios, seconds of a paired bootstrap."""
    data = pairs(images)
    with tempfile.TemporaryDirectory() as name:
        official = best_time(reference(data, Path(name)), repeat) / images
        files = sorted(Path(name).glob('*.png'))
        decoding = best_time(lambda: [np.asarray(Image.open(f)) for f in files], repeat) / images
    ours = best_time(lambda: [confusion_counts(p, t, CLASSES) for p, t in data], repeat) / images
    rng = np.random.default_rng(0)
    union = rng.integers(100, 5000, (500, CLASSES)).astype(float)
    a, b = (Parts(np.round(union * rng.uniform(0.4, 0.7, (500, 1))), union) for _ in range(2))
    bootstrap_weights.cache_clear()
    start = time.process_time()
    paired_bootstrap(a, b)
    return {
        'cityscapesscripts_ms': 1e3 * official,
        'of_which_png_ms': 1e3 * decoding,
        'ours_ms': 1e3 * ours,
        'ratio': official / ours,
        'ratio_without_png': (official - decoding) / ours,
        'paired_bootstrap_s': time.process_time() - start,
    }
