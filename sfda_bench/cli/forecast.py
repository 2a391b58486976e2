"""What ``plan --device`` tells: memory and hours of stages that have not run."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from typing import Any

from tabulate import tabulate

from sfda_bench.errors import BenchError
from sfda_bench.plan.model import Stage

#: Cards by their memory, in GB.
CARDS = (24, 40, 80)


def ahead_of(arguments: argparse.Namespace, missing: Sequence[Stage]) -> list[Any] | None:
    """Forecasts of the stages to run; ``None`` if no device is named.

    Raises:
        BenchError: An unknown device, or a share that is none.
    """
    if getattr(arguments, 'device', None) is None:
        return None
    share = arguments.utilisation
    if not (math.isfinite(share) and 0.0 < share <= 1.0):
        raise BenchError(f'--utilisation {share}', 'above 0, at most 1')
    from sfda_bench.errors import require_known
    from sfda_bench.run.forecast import DEVICES, forecast
    from sfda_bench.stack import import_stack

    require_known('device', arguments.device, DEVICES)
    import_stack()
    return forecast(missing, arguments.device, share)


def forecast_json(ahead: Sequence[Any]) -> list[dict[str, Any]]:
    """As plain data."""
    return [
        {
            'id': item.stage.id,
            'title': item.stage.title,
            'size': list(item.size),
            'memory_gb': round(item.memory_gb, 3),
            'hours': round(item.hours, 5),
        }
        for item in ahead
    ]


def forecast_text(ahead: Sequence[Any], device: str, share: float) -> str:
    """As a table for a terminal, the stages that need most memory first."""
    from sfda_bench.run.forecast import CONTEXT_GB

    rows = [
        [
            item.stage.title,
            f'{item.size[0]} x {item.size[1]}',
            f'{item.memory_gb:.1f}',
            _fits(item.memory_gb),
            f'{item.hours:.2f}',
        ]
        for item in sorted(ahead, key=lambda item: -item.memory_gb)
    ]
    hours = sum(item.hours for item in ahead)
    told = [f'{sum(item.memory_gb <= card for item in ahead)} fit {card} GB' for card in CARDS]
    return '\n'.join(
        [
            '',
            f'forecast for {device}: counted passes at {share:g} of its dense rate, kept tensors '
            f'and {CONTEXT_GB:g} GB of context; nothing was run',
            tabulate(rows, ['stage', 'input', 'GB', 'fits', 'hours']),
            f'{hours:.1f} device hours; of {len(ahead)} stages {", ".join(told)}',
        ]
    )


def _fits(memory: float) -> str:
    return next((f'{card} GB' for card in CARDS if memory <= card), 'none')
