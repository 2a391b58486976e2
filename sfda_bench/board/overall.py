"""Every row of every board as one table: ``board.csv``, and Parquet where pyarrow is there."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from sfda_bench.atomic import write_with
from sfda_bench.board.loading import unique
from sfda_bench.board.rows import Board, Row

NAME, PARQUET = 'board.csv', 'board.parquet'
COMMIT = 12
"""Digits of a commit that are shown."""


def frame(boards: Sequence[Board]) -> pd.DataFrame:
    """One line a row: its entry, what it is measured by and with, mIoU, gain, commits, date.

    Percent and points, means over seeds. ``entry`` is what ``--method`` takes. ``commits`` are
    those of its records, ``-dirty`` where the code had changes that were not committed; ``date``
    is that of the newest.
    """
    return pd.DataFrame([_line(board, row) for board in boards for row in board.rows])


def _line(board: Board, row: Row) -> dict[str, Any]:
    key = board.key
    records = [item.record for item in row.items.values()]
    return {
        'suite': key.suite,
        'task': key.task,
        'network': key.network,
        'setting': key.setting or 'offline',
        'method': row.method,
        'entry': records[0].entry.label,
        'track': row.track,
        'fidelity': row.fidelity,
        'tier': row.tier,
        'seeds': ' '.join(str(seed) for seed in row.items),
        'images': board.images,
        'miou': row.mean,
        'miou_std': row.std,
        'source_miou': row.source,
        'gain': row.gain,
        'inference': key.inference,
        'scoring': key.scoring,
        'commits': ' '.join(sorted(unique(_commit(r.code.commit, r.code.dirty) for r in records))),
        'date': max(record.created[:10] for record in records),
    }


def _commit(commit: str | None, dirty: bool | None) -> str:
    return (commit or 'unknown')[:COMMIT] + ('-dirty' if dirty else '')


def csv(boards: Sequence[Board]) -> str:
    """The table as CSV (numbers with four decimals, missing cells empty)."""
    return frame(boards).to_csv(index=False, float_format='%.4f', lineterminator='\n')


def write_parquet(text: str, out: Path) -> bool:
    """Write the CSV's table as Parquet beside it; False where pyarrow is not installed.

    A Parquet file of an earlier table is removed there, so that the two never differ.
    """
    path = Path(out) / PARQUET
    if importlib.util.find_spec('pyarrow') is None:
        path.unlink(missing_ok=True)
        return False
    words = dict.fromkeys(('seeds', 'commits', 'date'), str)
    table = pd.read_csv(io.StringIO(text), dtype=words) if text.strip() else pd.DataFrame()
    write_with(path, lambda aside: table.to_parquet(aside, engine='pyarrow', index=False))
    return True
