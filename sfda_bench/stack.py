"""Importing torch and mmseg without the messages everybody knows."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import io
import warnings

#: Of malloc.h: from where on memory is mapped, and how much free memory stays.
_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1
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


def keep_freed_memory() -> None:
    """Let glibc use freed tensors again instead of returning them: a fresh page costs a fault.

    By default every map beyond some megabytes is mapped anew, which costs several times the work
    done in it. Elsewhere than on glibc nothing happens.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL('libc.so.6').mallopt
        mallopt(_MMAP_THRESHOLD, 1 << 30)
        mallopt(_TRIM_THRESHOLD, (1 << 31) - 1)
