"""Comparison of many recorded numbers with ours, and a report that a reader can use."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

FOLDER = Path(__file__).parent / 'vectors'
SHOWN = 12


def vectors(name: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Description and arrays of ``trajectory_<name>``."""
    text = (FOLDER / f'trajectory_{name}.json').read_text(encoding='utf-8')
    with np.load(FOLDER / f'trajectory_{name}.npz') as stored:
        return json.loads(text), {key: stored[key] for key in stored.files}


def plain(value: Any) -> np.ndarray:
    """Any number, sequence or tensor as a float64 array."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    return np.asarray(value, dtype=np.float64)


@dataclass
class Comparison:
    """One recorded quantity.

    Attributes:
        what: Its name, with the iteration.
        error: Largest absolute difference, divided by the scale; infinite where a value is not
            finite.
        tolerance: What is allowed.
        found: Ours at the worst entry.
        expected: The recorded value there.
    """

    what: str
    error: float
    tolerance: float
    found: float
    expected: float

    @property
    def right(self) -> bool:
        """Whether the difference is within the tolerance."""
        return self.error <= self.tolerance

    def __str__(self) -> str:
        mark = '   ' if self.right else '!! '
        return (
            f'{mark}{self.what}: found {self.found:.12g}, recorded {self.expected:.12g}, '
            f'off by {self.error:.2g} (allowed {self.tolerance:.1g})'
        )


@dataclass
class Report:
    """Comparisons of one replay; :meth:`check` fails with the first and the worst of them.

    Args:
        title: Of the replay.
        tolerance: Allowed difference relative to the scale of each quantity, unless it has its own.
    """

    title: str
    tolerance: float = 1e-9
    entries: list[Comparison] = field(default_factory=list)

    def add(
        self,
        what: str,
        found: Any,
        expected: Any,
        tolerance: float | None = None,
        scale: float | None = None,
    ) -> None:
        """Compare a quantity.

        Args:
            what: Name for the report.
            found: Ours.
            expected: Recorded, of the same shape.
            tolerance: Instead of the report's.
            scale: What the difference is divided by; the largest recorded magnitude by default.
        """
        ours, theirs = plain(found), plain(expected)
        if ours.shape != theirs.shape:
            raise AssertionError(
                f'{self.title}: {what} has shape {ours.shape}, recorded {theirs.shape}'
            )
        tolerance = self.tolerance if tolerance is None else tolerance
        if not ours.size:
            return
        scale = float(np.abs(theirs).max()) if scale is None else float(scale)
        difference = np.atleast_1d(np.abs(ours - theirs))
        difference[~np.isfinite(difference)] = np.inf
        worst = int(difference.argmax())
        error = float(difference.flat[worst]) / (scale or 1.0)
        self.entries.append(
            Comparison(what, error, tolerance, float(ours.flat[worst]), float(theirs.flat[worst]))
        )

    @property
    def wrong(self) -> list[Comparison]:
        """Comparisons beyond their tolerance, in the order in which they were made."""
        return [entry for entry in self.entries if not entry.right]

    def check(self) -> None:
        """Raise ``AssertionError`` with a readable report unless all agree; some there must be."""
        if not self.entries:
            raise AssertionError(f'{self.title}: nothing was compared')
        if self.wrong:
            raise AssertionError(str(self))

    def __str__(self) -> str:
        wrong = self.wrong
        lines = [f'{self.title}: {len(wrong)} of {len(self.entries)} recorded quantities differ']
        worst: Sequence[Comparison] = sorted(wrong, key=lambda e: -e.error / (e.tolerance or 1.0))
        lines += ['first:', *map(str, wrong[:SHOWN])]
        if len(wrong) > SHOWN:
            lines += ['worst:', *map(str, worst[:SHOWN])]
        return '\n'.join(lines)
