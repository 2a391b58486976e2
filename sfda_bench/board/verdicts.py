"""Measured against reported: a verdict with its reason. First form; the rules come with cards."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Verdict:
    """``word`` with its ``reason``, the reported value and measured minus reported."""

    word: str
    reason: str = ''
    reported: float | None = None
    difference: float | None = None
