"""What a ``validate`` stage leaves behind: evidence on unlabelled images, one NPZ file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from sfda_bench.atomic import write_with
from sfda_bench.errors import BenchError
from sfda_bench.reading import read_arrays
from sfda_bench.scoring.candidates import Evidence
from sfda_bench.scoring.prediction_statistics import Statistics, ViewStatistics

EVIDENCE_NAME = 'evidence.npz'
_SAMPLED = ('logits', 'image', 'ids')


def save_evidence(path: Path, evidence: Evidence) -> None:
    """Write the sums as float64, counts of pairs as whole numbers, sampled logits as float32."""
    arrays: dict[str, Any] = {**evidence.statistics.arrays(), **evidence.views.arrays()}
    arrays.update(
        confusion=arrays['confusion'].astype(np.uint32),
        logits=np.asarray(evidence.logits, np.float32),
        image=np.asarray(evidence.image, np.int32),
        ids=np.array(evidence.ids, dtype=np.str_),
    )

    def write(temporary: Path) -> None:
        with temporary.open('wb') as stream:
            np.savez(stream, **arrays)

    write_with(path, write)


def load_evidence(path: Path) -> Evidence:
    """Read what :func:`save_evidence` wrote.

    Raises:
        BenchError: It is absent, damaged or another kind of file.
    """
    path = Path(path)
    names = (*Statistics.__dataclass_fields__, *ViewStatistics.__dataclass_fields__, *_SAMPLED)
    fix = f'delete {path.parent.parent} and run the same command: the stage runs again'
    found = read_arrays(path, names, 'the evidence of a validate stage (NPZ)', fix)
    images = len(found['ids'])
    if any(len(found[name]) != images for name in names if name not in ('logits', 'image')):
        raise BenchError(f'{path} holds arrays of different lengths', 'one row an image', fix)
    return Evidence(
        statistics=Statistics.from_arrays(found),
        views=ViewStatistics.from_arrays(found),
        logits=found['logits'],
        image=found['image'],
        ids=tuple(found['ids'].tolist()),
    )
