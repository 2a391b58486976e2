"""The 505-image Cityscapes subset of CBST, by its published rule instead of a copied list.

Rule (CBST issues, specs/cbst.md 4.1): score every target image by CBS(x), the mean over the
classes predicted in x of the mean confidence of the pixels predicted as that class, and keep the
images above a threshold. The threshold is unpublished, so the number of images sets it. The score
reads no labels, and depends on the network that predicts.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from sfda_bench.errors import BenchError, DataError
from sfda_bench.reading import require_file

CBST_IMAGES = 505


def class_balanced_score(prediction: NDArray, confidence: NDArray, num_classes: int = 19) -> float:
    """Return CBS(x) of one image; 0 if nothing is predicted.

    Args:
        prediction: Predicted classes (H, W); values outside 0..num_classes-1 are left out.
        confidence: Confidence of the predicted class (H, W), any positive scale.
        num_classes: Number of classes.
    """
    valid = (prediction >= 0) & (prediction < num_classes)
    classes = prediction[valid].astype(np.int64)
    pixels = np.bincount(classes, minlength=num_classes)
    sums = np.bincount(classes, weights=confidence[valid], minlength=num_classes)
    seen = pixels > 0
    return float((sums[seen] / pixels[seen]).mean()) if seen.any() else 0.0


def select_by_score(scores: Mapping[str, float], images: int = CBST_IMAGES) -> list[str]:
    """Return the ids of the ``images`` best-scored images, sorted by id; ties go to smaller ids."""
    if images < 1 or images > len(scores):
        raise BenchError(f'{images} of {len(scores)} images', f'1 to {len(scores)}')
    ranked = sorted(scores, key=lambda name: (-scores[name], name))
    return sorted(ranked[:images])


def scores_of_folder(folder: str | Path, num_classes: int = 19) -> dict[str, float]:
    """Return sample id -> CBS of a folder of ``<sample id>.npz`` with ``label``, ``confidence``."""
    expected = 'one <sample id>.npz an image: label, confidence (H, W)'
    fix = 'name the folder of predictions, with --predictions'
    files = sorted(Path(folder).glob('*.npz'))
    if not files:
        raise DataError(f'no .npz in {folder}', expected, fix)
    scores = {}
    for path in files:
        label, confidence = _read_prediction(path)
        scores[path.stem] = class_balanced_score(label, confidence, num_classes)
    return scores


def _read_prediction(path: Path) -> tuple[NDArray, NDArray]:
    """``label`` and ``confidence`` of one file, both (H, W), the confidence finite and >= 0."""
    fix = 'write the file again'
    require_file(path, 'a whole .npz file', fix)
    try:
        with np.load(path) as arrays:
            if not {'label', 'confidence'} <= set(arrays.files):
                raise DataError(f'{path} holds {arrays.files}', 'arrays `label` and `confidence`')
            label, confidence = arrays['label'], arrays['confidence']
    except (
        OSError,
        EOFError,
        ValueError,
        KeyError,
        AttributeError,
        BadZipFile,
        zlib.error,
    ) as cause:
        raise DataError(f'{path} cannot be read: {cause}', 'a whole .npz file', fix) from None
    if label.ndim != 2 or label.shape != confidence.shape:
        found = f'{path}: label {label.shape}, confidence {confidence.shape}'
        raise DataError(found, 'two arrays (H, W) of one size', fix)
    if not all(np.issubdtype(a.dtype, np.number) for a in (label, confidence)):
        found = f'{path}: label {label.dtype}, confidence {confidence.dtype}'
        raise DataError(found, 'arrays of numbers', fix)
    if not (np.isfinite(label).all() and np.isfinite(confidence).all() and (confidence >= 0).all()):
        raise DataError(f'{path}: values that are negative or not finite', 'numbers', fix)
    return label, confidence
