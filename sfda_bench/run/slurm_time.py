"""Times as SLURM writes them."""

from __future__ import annotations


def minutes_of(text: str) -> int:
    """Minutes, rounded up, of ``90``, ``30:00``, ``24:00:00``, ``1-12`` or ``1-00:00:00``.

    Raises:
        ValueError: Another form, or nothing.
    """
    days, dash, rest = text.rpartition('-')
    parts = [int(part) for part in rest.split(':')]
    if len(parts) > 3 or any(part < 0 for part in parts) or (dash and not days):
        raise ValueError(text)
    if dash:
        hours, minutes, seconds = [*parts, 0, 0][:3]
    elif len(parts) == 1:
        hours, minutes, seconds = 0, parts[0], 0
    else:
        hours, minutes, seconds = [0, *parts][-3:]
    total = 1440 * int(days or 0) + 60 * hours + minutes + (seconds > 0)
    if total < 1:
        raise ValueError(text)
    return total
