"""A picture of a sweep: each validator's score of every trial against its mIoU, as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from sfda_bench.store.sweep import SweepResult, pick

PANEL, GAP, TITLE = 150, 26, 20
COLUMNS = 3
INK, PICKED, FALLEN = '#4a5568', '#2b6cb0', '#c53030'


def scatter(found: SweepResult, names: Sequence[str]) -> str:
    """One panel a validator: score to the right, mIoU upwards; what it picks has a ring.

    Collapsed trials are red, trial 0 is a square, the source model's mIoU a dashed line.
    """
    rows = -(-len(names) // COLUMNS)
    width, height = COLUMNS * (PANEL + GAP) + GAP, rows * (PANEL + GAP + TITLE) + GAP
    panels = []
    for place, name in enumerate(names):
        left = GAP + place % COLUMNS * (PANEL + GAP)
        top = GAP + place // COLUMNS * (PANEL + GAP + TITLE)
        panels.append(f'<g transform="translate({left} {top})">{_panel(found, name)}</g>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="sans-serif" font-size="11">'
        f'<rect width="{width}" height="{height}" fill="white"/>{"".join(panels)}</svg>\n'
    )


def _panel(found: SweepResult, name: str) -> str:
    points = [
        (number, score, trial.miou)
        for number, trial in enumerate(found.trials)
        if trial.miou is not None and (score := trial.scores.get(name)) is not None
    ]
    parts = [
        f'<rect y="{TITLE}" width="{PANEL}" height="{PANEL}" fill="none" stroke="#cbd5e0"/>',
        f'<text y="{TITLE - 6}" fill="{INK}">{escape(name)}</text>',
    ]
    levels = [miou for _, _, miou in points]
    if found.source_miou is not None and points:
        levels.append(found.source_miou)
    if levels:
        told = f'{min(levels):.1f} to {max(levels):.1f}'
        parts.append(
            f'<text x="{PANEL}" y="{TITLE - 6}" fill="{INK}" text-anchor="end">{told}</text>'
        )
    if len(levels) > len(points):
        y = _place(levels[-1], levels, True)
        parts.append(
            f'<line x2="{PANEL}" y1="{y}" y2="{y}" stroke="{INK}" stroke-dasharray="3 3"/>'
        )
    for number, score, miou in points:
        x = _place(score, [other for _, other, _ in points], False)
        y = _place(miou, levels, True)
        colour = FALLEN if found.trials[number].collapsed else INK
        parts.append(_mark(number, x, y, colour, f'trial {number}: {score:.4g}, {miou:.1f} mIoU'))
        if number == pick(found, name):
            parts.append(
                f'<circle cx="{x}" cy="{y}" r="8" fill="none" stroke="{PICKED}" stroke-width="2"/>'
            )
    return ''.join(parts)


def _mark(number: int, x: float, y: float, colour: str, told: str) -> str:
    title = f'<title>{escape(told)}</title>'
    if number == 0:
        at = f'x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8"'
        return f'<rect {at} fill="{colour}">{title}</rect>'
    return f'<circle cx="{x}" cy="{y}" r="4" fill="{colour}">{title}</circle>'


def _place(value: float, all_of: Sequence[float], upwards: bool) -> float:
    """Where a value stands inside a panel, with a margin."""
    low, high = min(all_of), max(all_of)
    share = (value - low) / (high - low) if high > low else 0.5
    place = 12 + share * (PANEL - 24)
    return round(TITLE + PANEL - place if upwards else place, 1)
