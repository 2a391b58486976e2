"""Limits of the regression check: when a difference is an alarm; a baseline may override them."""

from __future__ import annotations

from pydantic import Field

from sfda_bench.store.record import Strict


class Limits(Strict):
    """Magnitude and significance of an alarm.

    Attributes:
        miou: Least change of mIoU, in points, that matters.
        alpha: Two-sided error rate of one entry's test against another seed or machine, where
            even an unchanged entry gives another number.
        alpha_same: Error rate on the seed and machine of the baseline, where an unchanged entry
            repeats bit for bit: only one that was changed can be suspected at all.
        spread: Standard deviation of mIoU over seeds, in points, expected of an entry whose own
            was not measured. On the pocket suite 13 methods with four seeds each have 0.95
            together (0.05 to 1.5).
        spread_df: How many degrees of freedom this expectation is worth against a measured
            spread.
        source_spread: Standard deviation that another source model brings along (another
            processor trains another one from the same seed): an assumption, not measured.
        class_iou: IoU in percent from which a class counts as recognised.
        speed: Throughput ratio, against the baseline's, below which an entry is slow.
        memory: Peak memory, against the baseline's, above which an entry is large ...
        memory_mb: ... if it is also this many megabytes more.
    """

    miou: float = Field(default=1.0, ge=0)
    alpha: float = Field(default=0.002, gt=0, lt=1)
    alpha_same: float = Field(default=0.05, gt=0, lt=1)
    spread: float = Field(default=1.0, gt=0)
    spread_df: float = Field(default=6.0, gt=0)
    source_spread: float = Field(default=1.0, ge=0)
    class_iou: float = Field(default=5.0, ge=0)
    speed: float = Field(default=0.5, gt=0, lt=1)
    memory: float = Field(default=1.25, gt=1)
    memory_mb: float = Field(default=64.0, ge=0)
