"""Tiers: what stands behind the number of a row.

A record's tier follows from where it lies and from what lies beside it, never from what it claims:

* ``re-run here``: in a folder of records of our own, such as ``results/records``, with its counts.
* ``recomputed from counts``: in ``results/community``, with its counts; its scores are computed
  from them here. That the counts are those of the method, only a run can show.
* ``self-reported``: in ``results/community``, its ``counts_file`` is empty: nothing is behind it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from sfda_bench.store.record import Record

Tier = Literal['re-run here', 'recomputed from counts', 'self-reported']
RERUN: Tier = 're-run here'
RECOMPUTED: Tier = 'recomputed from counts'
REPORTED: Tier = 'self-reported'
COMMUNITY = 'community'
"""Name of the folder of records that others sent: ``community/<suite>/<entry>.json``."""


def is_community(folder: Path) -> bool:
    """Whether a folder holds the records of others; it need not be there."""
    return Path(folder).absolute().name == COMMUNITY


def tier_of(path: Path, record: Record) -> Tier:
    """The tier of a record that lies at ``path``."""
    return told_tier(record) if is_community(Path(path).absolute().parents[1]) else RERUN


def told_tier(record: Record) -> Tier:
    """The tier that a record has, or would have, in the folder of others."""
    return RECOMPUTED if record.counts_file else REPORTED
