"""Importing torch and mmseg without the messages everybody knows."""

from __future__ import annotations

import contextlib
import importlib
import io
import warnings

NOISE = 'Could not import OneDL'


def import_stack() -> None:
    """Import torch and mmseg without their two known import messages, and with all others."""
    warnings.filterwarnings('ignore', message='Fail to import ``MultiScaleDeformableAttention``')
    captured = io.StringIO()
    with contextlib.redirect_stdout(captured):
        for name in ('mmengine.runner', 'mmseg.datasets', 'mmseg.models'):
            importlib.import_module(name)
    for line in captured.getvalue().splitlines():
        if line.strip() != NOISE:
            print(line)
