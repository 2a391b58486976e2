"""What labelling stages write: thresholds, pseudo-labels, and warnings for the record.

Two passes over the target, each a stage of its own: the first fills one confidence histogram a
class, the second predicts again and writes labels. No probability map of a data set is ever kept.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from mmengine.dist import all_reduce
from mmengine.evaluator import BaseMetric
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from sfda_bench.adapt.host import bytes_of, class_counts
from sfda_bench.adapt.selection import (
    IGNORE,
    rare_classes,
    select_labels,
    soft_labels,
    thin_ties,
    with_prior,
)
from sfda_bench.adapt.thresholds import BINS, ConfidenceHistogram, Policy, Rounding
from sfda_bench.atomic import write_text
from sfda_bench.errors import BenchError, DataError, require_known
from sfda_bench.registry import METRICS
from sfda_bench.store.filenames import WARNINGS_NAME

THRESHOLDS_NAME = 'thresholds.json'
LABELS_NAME = 'labels'
STATS_NAME = 'stats.json'
#: A class is said to keep too much when it keeps this many times what was asked for.
TIES_FACTOR = 1.5


def read_thresholds(path: str | Path) -> dict[str, Any]:
    """The JSON a :class:`ThresholdWriter` wrote.

    Raises:
        DataError: It is missing or not such a file.
    """
    try:
        found = json.loads(Path(path).read_text(encoding='utf-8'))
        found['theta'] = [float(value) for value in found['theta']]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f'cannot read thresholds from {path}: {error}') from error
    return found


def load_prior(path: str | Path | None) -> Tensor | None:
    """Spatial prior (C, H, W) of a ``.npy`` file, or None.

    Raises:
        DataError: It is missing or not such a file.
    """
    if path is None:
        return None
    try:
        return torch.from_numpy(np.load(path).astype(np.float32))
    except (OSError, ValueError) as error:
        fix = 'python tools/prepare_data.py cbst-prior --help'
        raise DataError(f'cannot read the prior {path}: {error}', 'a .npy file', fix) from error


class Writer(BaseMetric):
    """Base of the writers.

    Args:
        out_dir: The stage's ``artifacts`` folder (set by the suite).
        **kwargs: As in mmengine's ``BaseMetric``.
    """

    def __init__(self, out_dir: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.out_dir = Path(out_dir)

    def write_json(self, name: str, content: Any) -> None:
        """Write one artifact atomically."""
        self.out_dir.mkdir(parents=True, exist_ok=True)
        write_text(self.out_dir / name, json.dumps(content, indent=1))

    def warn(self, warnings: Sequence[str]) -> None:
        """Write the stage's warnings, which end up in the record."""
        write_text(self.out_dir.parent / WARNINGS_NAME, json.dumps(list(warnings)))


@METRICS.register_module()
class ThresholdWriter(Writer):
    """Fill the histograms and write ``thresholds.json``.

    Args:
        out_dir: See :class:`Writer`.
        portion: Share p of each class (or of all pixels) to keep.
        policy: ``'class'`` (CBST) or ``'global'`` (ST).
        stride: Every how many-th pixel of a class counts; the code uses 4.
        rows: Every how many-th band of rows counts, faster than ``stride``.
        rounding: Of the rank: ``'floor'`` (code) or ``'round'`` (paper).
        prior: ``.npy`` file of a spatial prior.
        **kwargs: See :class:`Writer`.
    """

    def __init__(
        self,
        out_dir: str,
        portion: float = 0.2,
        policy: Policy = 'class',
        stride: int = 1,
        rows: int = 1,
        rounding: Rounding = 'floor',
        prior: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(out_dir, **kwargs)
        self.portion, self.policy, self.rounding = portion, policy, rounding
        self.stride, self.rows, self.prior = stride, rows, load_prior(prior)
        self.histogram: ConfidenceHistogram | None = None
        self.pixels: Tensor | None = None

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Add one batch of probability maps."""
        for sample in data_samples:
            maps = sample.pop('probabilities')
            if self.prior is not None:
                self.prior = self.prior.to(maps.device)
                maps = with_prior(maps, self.prior)
            if self.histogram is None or self.pixels is None:
                self.histogram = ConfidenceHistogram(len(maps), self.stride, self.rows, maps.device)
                self.pixels = torch.zeros(len(maps), dtype=torch.int64, device=maps.device)
            _, labels = self.histogram.update(maps)
            self.pixels += class_counts(labels, len(maps))
            self.results.append(sample['sample_id'])

    def evaluate(self, size: int) -> dict:
        """Sum over all processes first."""
        if self.histogram is not None and self.pixels is not None:
            self.histogram.check()
            all_reduce(self.histogram.counts)
            all_reduce(self.pixels)
        return super().evaluate(size)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Write thresholds, requested and obtained portions, rare classes."""
        if self.histogram is None or self.pixels is None:
            raise BenchError('no image to label', 'at least one target image')
        found = self.histogram.thresholds(self.portion, self.policy, self.rounding)
        pixels = self.pixels.tolist()
        never = [index for index, number in enumerate(pixels) if number == 0]
        obtained = [a / n if n else 0.0 for a, n in zip(found.at_least, found.counts, strict=True)]
        content = {
            'portion': self.portion,
            'policy': self.policy,
            'bins': BINS,
            'theta': found.theta,
            'tie_keep': found.tie_keep,
            'counts': found.counts,
            'requested': found.requested,
            'at_least': found.at_least,
            'obtained_portion': obtained,
            'pixels': pixels,
            'rare': rare_classes(pixels),
            'never_predicted': never,
        }
        self.write_json(THRESHOLDS_NAME, content)
        self.warn(_threshold_warnings(content, self.policy))
        return {'images': len(results), 'never_predicted': len(never)}


def _threshold_warnings(content: dict[str, Any], policy: Policy) -> list[str]:
    warnings = []
    if content['never_predicted']:
        names = ', '.join(map(str, content['never_predicted']))
        warnings.append(f'classes never predicted on the target, so never labelled: {names}')
    if policy == 'global':
        return warnings
    triples = zip(content['requested'], content['at_least'], content['counts'], strict=True)
    for index, (wanted, got, total) in enumerate(triples):
        if wanted and got > TIES_FACTOR * wanted:
            warnings.append(
                f'class {index}: {100 * got / total:.0f} % of its pixels reach the threshold, '
                f'{100 * wanted / total:.0f} % were asked for (ties)'
            )
    return warnings


@METRICS.register_module()
class PseudoLabelWriter(Writer):
    """Write ``labels/<sample_id>.png`` (train ids, 255 ignored) and ``stats.json``.

    Args:
        out_dir: See :class:`Writer`.
        thresholds: ``thresholds.json`` of an earlier stage.
        rule: ``'hard'`` (CBST: largest ratio, kept from 1 on) or ``'lrent'`` (the hard view of the
            soft labels: same class, kept where the regularised cost is negative).
        alpha: Weight of LRENT.
        ties: ``'keep'`` pixels that equal the threshold, as published, or ``'thin'`` them to the
            requested number.
        prior: ``.npy`` file of a spatial prior.
        **kwargs: See :class:`Writer`.
    """

    def __init__(
        self,
        out_dir: str,
        thresholds: str,
        rule: Literal['hard', 'lrent'] = 'hard',
        alpha: float = 0.25,
        ties: Literal['keep', 'thin'] = 'keep',
        prior: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(out_dir, **kwargs)
        self.rule = require_known('labelling rule', rule, ('hard', 'lrent'))
        self.ties = require_known('treatment of ties', ties, ('keep', 'thin'))
        self.content = read_thresholds(thresholds)
        self.theta = torch.tensor(self.content['theta'], dtype=torch.float32)
        self.tie_keep = torch.tensor(self.content['tie_keep'], dtype=torch.float32)
        self.alpha, self.prior = alpha, load_prior(prior)

    def label(self, maps: Tensor, seed: int) -> Tensor:
        """Labels (H, W) of probabilities (C, H, W)."""
        if self.prior is not None:
            self.prior = self.prior.to(maps.device)
            maps = with_prior(maps, self.prior)
        self.theta = theta = self.theta.to(maps.device)
        if self.rule == 'lrent':
            soft, kept = soft_labels(maps, theta, self.alpha)
            return torch.where(kept, soft.argmax(dim=0), IGNORE)
        labels = select_labels(maps, theta)
        if self.ties == 'thin':
            self.tie_keep = self.tie_keep.to(maps.device)
            labels = thin_ties(labels, maps, theta, self.tie_keep, seed)
        return labels

    def on_host(self, labels: Tensor, sample: dict) -> NDArray[np.uint8]:
        """The labels, and what else of the sample a writer needs: the one copy of an image."""
        return bytes_of(labels)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Label one batch."""
        folder = self.out_dir / LABELS_NAME
        folder.mkdir(parents=True, exist_ok=True)
        for sample in data_samples:
            name = sample['sample_id']
            maps = sample.pop('probabilities')
            if len(maps) != len(self.theta):
                raise BenchError(f'{len(self.theta)} thresholds', f'{len(maps)}, one a class')
            labels = self.on_host(self.label(maps, zlib.crc32(name.encode())), sample)
            path = folder / f'{name}.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(labels).save(path)
            self.results.append((name, np.bincount(labels.ravel(), minlength=IGNORE + 1)))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Write how many pixels each class kept."""
        by_name = dict(results)
        counts = np.stack([by_name[name] for name in sorted(by_name)]).astype(np.int64)
        total, classes = counts.sum(axis=0), len(self.theta)
        labelled = float(total[:classes].sum() / max(total.sum(), 1))
        pixels = np.asarray(self.content['pixels'])
        self.write_json(
            STATS_NAME,
            {
                'labelled_portion': labelled,
                'requested_portion': self.content['portion'],
                'kept': total[:classes].tolist(),
                'predicted': pixels.tolist(),
                'rare': self.content['rare'],
            },
        )
        self.warn(_label_warnings(counts, pixels, classes))
        return {'labelled_percent': 100 * labelled}


def _label_warnings(counts: NDArray, pixels: NDArray, classes: int) -> list[str]:
    warnings = []
    empty = int((counts[:, :classes].sum(axis=1) == 0).sum())
    if empty:
        warnings.append(f'{empty} of {len(counts)} target images kept no pseudo-labelled pixel')
    lost = np.flatnonzero((pixels > 0) & (counts[:, :classes].sum(axis=0) == 0)).tolist()
    if lost:
        names = ', '.join(map(str, lost))
        warnings.append(f'classes predicted but without a pseudo-labelled pixel: {names}')
    return warnings
