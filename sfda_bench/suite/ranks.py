"""A stage on several devices of one machine, through torch's launcher and mmengine's.

The total batch stays what the config says: each rank takes its share. Every rank seals itself.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from sfda_bench.atomic import write_text
from sfda_bench.errors import BenchError
from sfda_bench.suite.process import RESULT_NAME, run_stage
from sfda_bench.suite.store import State

ERROR_NAME = 'error.json'


class RankError(RuntimeError):
    """A rank failed.

    Args:
        state: ``failed`` or ``diverged``.
        reason: What the rank said.
    """

    def __init__(self, state: State, reason: str) -> None:
        self.state: State = state
        self.reason = reason
        super().__init__(reason)


def launch(config_file: Path, ranks: int, guard: bool) -> dict[str, Any]:
    """Run a stage in ``ranks`` processes and return its facts.

    Raises:
        RankError: One of them failed.
    """
    folder = config_file.parent
    (folder / ERROR_NAME).unlink(missing_ok=True)
    if Config.fromfile(str(config_file), import_custom_modules=False).stage.get('single_device'):
        return run_stage(config_file, guard)
    command = [
        sys.executable, '-m', 'torch.distributed.run', '--standalone',
        f'--nproc_per_node={ranks}', '-m', __name__, str(config_file),
    ]  # fmt: skip
    done = subprocess.run([*command, *([] if guard else ['--no-guard'])], check=False)
    if done.returncode == 0:
        return json.loads((folder / RESULT_NAME).read_text())
    if (folder / ERROR_NAME).is_file():
        raise RankError(**json.loads((folder / ERROR_NAME).read_text()))
    raise RankError('failed', f'the launcher ended with code {done.returncode}')


def share_batch(config: Any) -> None:
    """Turn a config for one process into one rank's, in place.

    Raises:
        BenchError: The total batch cannot be shared evenly.
    """
    import torch

    ranks = int(os.environ.get('WORLD_SIZE', '1'))
    if ranks == 1:
        return
    config.launcher = 'pytorch'
    # Methods freeze parts of the network, or leave the auxiliary head out.
    config.find_unused_parameters = True
    if not torch.cuda.is_available():
        # mmengine's own set-up wants a GPU index; a group that exists it takes as it is.
        torch.distributed.init_process_group('gloo')
        config.model_wrapper_cfg = {
            'type': 'MMDistributedDataParallel',
            'device_ids': None,
            'broadcast_buffers': False,
            'find_unused_parameters': True,
        }
    if 'train_dataloader' in config:
        total = config.train_dataloader.batch_size
        if total % ranks:
            raise BenchError(
                f'a total batch of {total} on {ranks} devices',
                'a number of devices that divides it: the total batch is part of the method',
                'choose another --gpus-per-stage',
            )
        config.train_dataloader.batch_size = total // ranks


def main(argv: Sequence[str] | None = None) -> int:
    """One rank, started by torch's launcher."""
    from sfda_bench.suite.worker import judge

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', type=Path)
    parser.add_argument('--no-guard', action='store_true')
    arguments = parser.parse_args(argv)
    try:
        run_stage(arguments.config, guard=not arguments.no_guard)
    except BaseException as error:
        traceback.print_exc()
        state, reason = judge(error)
        path = arguments.config.parent / ERROR_NAME
        write_text(path, json.dumps({'state': state, 'reason': reason}))
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
