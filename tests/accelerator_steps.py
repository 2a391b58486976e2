"""Every training step on the simulated accelerator, in a process of its own; prints JSON.

Torch's engine of gradients counts its devices once, so the device must be there before anything
takes a gradient.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import torch

from sfda_bench.benchmarks import step_time
from tests import accelerator

NETWORK, SIZE = 'deeplabv2_pocket', (64, 128)


def waits_of(stage: dict, device: torch.device, folder: Path) -> dict[str, int]:
    """What makes the second step of a stage wait, by place."""
    torch.manual_seed(0)
    adapter = step_time.build(stage, NETWORK, str(device), folder)
    step = step_time.step_of(adapter, stage, torch.randn(2, 3, *SIZE).to(device))
    step()  # what is set up once may wait
    with accelerator.counted() as (waits, _):
        step()
    return dict(waits)


def main() -> int:
    """Print what waits, or the error, by stage."""
    step_time.prepare_process()
    device, found = accelerator.register(), {}
    with tempfile.TemporaryDirectory() as folder:
        for name, stage in step_time.stages_of(None):
            try:
                found[name] = waits_of(stage, device, Path(folder))
            except Exception as error:
                found[name] = {f'{type(error).__name__}: {error}': 1}
    print(json.dumps(found))
    return 0


if __name__ == '__main__':
    sys.exit(main())
