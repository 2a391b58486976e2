"""The machine and the software that a result was measured with."""

from __future__ import annotations

import os
import platform
import socket
from pathlib import Path
from typing import Any

#: Packages that a number may depend on (the onedl ones or their originals).
PACKAGES = (
    'torch', 'onedl-mmsegmentation', 'onedl-mmengine', 'onedl-mmcv', 'mmsegmentation', 'mmengine',
    'mmcv', 'numpy', 'pillow', 'opencv-python', 'kornia', 'sfda_bench',
)  # fmt: skip


def versions() -> dict[str, str]:
    """Versions of the packages that a number may depend on."""
    from importlib.metadata import PackageNotFoundError, version

    found = {'python': platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def hardware() -> dict[str, Any]:
    """The machine: processor, cores, memory in GB, GPUs."""
    import torch

    info: dict[str, Any] = {
        'system': f'{platform.system()} {platform.machine()}',
        'cpu': _cpu_name(),
        'cores': os.cpu_count(),
        'threads': torch.get_num_threads(),
        'memory_gb': round(os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30, 1),
        'gpu': None,
    }
    if torch.cuda.is_available():
        info['gpu'] = torch.cuda.get_device_name(0)
    return info


def _cpu_name() -> str:
    try:
        for line in Path('/proc/cpuinfo').read_text(encoding='utf-8').splitlines():
            if line.startswith('model name'):
                return line.split(':', 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or 'unknown'


def host() -> str:
    """Name of this machine."""
    return socket.gethostname()
