"""The rows of boards as a data frame and as CSV."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from sfda_bench.board.columns import Column, with_tier
from sfda_bench.board.rows import Board, Row


def frame(boards: Sequence[Board]) -> pd.DataFrame:
    """All rows with their raw values: key, the columns of a board, interval, seeds, classes."""
    columns = with_tier([row for board in boards for row in board.rows])
    found = pd.DataFrame([_record(board, row, columns) for board in boards for row in board.rows])
    whole = [name for name in ('rank', 'rank_last') if name in found]
    return found.astype(dict.fromkeys(whole, 'Int64'))


def _record(board: Board, row: Row, columns: Sequence[Column]) -> dict:
    key = board.key
    return {
        'suite': key.suite,
        'task': key.task,
        'network': key.network,
        'inference': key.inference,
        'scoring': key.scoring,
        **{column.name: column.value(row) for column in columns},
        'std': row.std,
        'low': _end(row.low),
        'high': _end(row.high),
        'seeds_expected': len(row.expected),
        'rank_last': row.last_rank,
        'ties': ' '.join(row.ties),
        **{f'iou_{name}': value for name, value in row.per_class.items()},
        **{f'miou_{name}': value for name, value in row.per_condition.items()},
        **_ends('iou', row.class_intervals),
        **_ends('miou', row.condition_intervals),
        **{name: value for name, value in row.conventions.items() if name != key.scoring},
    }


def _end(value: float | None) -> float | None:
    """An end of an interval, without the digits in which resampling says nothing."""
    return None if value is None else round(value, 2)


def _ends(prefix: str, intervals: dict[str, tuple[float, float]]) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for name, (low, high) in intervals.items():
        found[f'{prefix}_{name}_low'], found[f'{prefix}_{name}_high'] = _end(low), _end(high)
    return found


def csv(board: Board) -> str:
    """A board as CSV (numbers with four decimals, missing cells empty)."""
    return frame([board]).to_csv(index=False, float_format='%.4f', lineterminator='\n')
