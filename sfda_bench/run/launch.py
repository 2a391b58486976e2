"""Launches a stage on several devices of one machine, by torch's launcher and mmengine's.

The total batch stays what the config says: each rank takes its share. One seal holds all ranks.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from sfda_bench import interrupts
from sfda_bench.atomic import write_text
from sfda_bench.run.outcome import RankError, judge
from sfda_bench.run.stage import RESULT_NAME, run_in_seal, run_stage

ERROR_NAME = 'error.json'


def launch(config_file: Path, ranks: int, guard: bool) -> dict[str, Any]:
    """Run a stage in ``ranks`` processes and return its facts.

    Raises:
        RankError: One of them failed.
    """
    folder = config_file.parent
    (folder / ERROR_NAME).unlink(missing_ok=True)
    config = Config.fromfile(str(config_file), import_custom_modules=False)
    if config.stage.get('single_device'):
        return run_stage(config_file, guard)
    return run_in_seal(config, guard, lambda: _together(config_file, ranks, guard))


def _together(config_file: Path, ranks: int, guard: bool) -> dict[str, Any]:
    folder = config_file.parent
    command = [
        sys.executable, '-m', 'torch.distributed.run', '--standalone',
        f'--nproc_per_node={ranks}', '-m', __name__, str(config_file),
    ]  # fmt: skip
    code = _launched([*command, *([] if guard else ['--no-guard'])])
    if code == 0:
        return json.loads((folder / RESULT_NAME).read_text(encoding='utf-8'))
    if (folder / ERROR_NAME).is_file():
        raise RankError(**json.loads((folder / ERROR_NAME).read_text(encoding='utf-8')))
    raise RankError('failed', f'the launcher ended with code {code}')


def _launched(command: Sequence[str]) -> int:
    """Exit code of torch's launcher, which hands a request to stop on to its ranks."""
    launcher = subprocess.Popen(command)
    try:
        return launcher.wait()
    except interrupts.Stopped:
        launcher.terminate()
        launcher.wait()
        raise


def main(argv: Sequence[str] | None = None) -> int:
    """One rank, started by torch's launcher."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', type=Path)
    parser.add_argument('--no-guard', action='store_true')
    arguments = parser.parse_args(argv)
    # The first rank writes the checkpoint and ends the run; the launcher then ends the others.
    if os.environ.get('RANK', '0') == '0':
        interrupts.listen(signal.SIGTERM)
    else:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        run_stage(arguments.config, guard=not arguments.no_guard, inside=not arguments.no_guard)
    except BaseException as error:
        traceback.print_exc()
        state, reason = judge(error)
        path = arguments.config.parent / ERROR_NAME
        write_text(path, json.dumps({'state': state, 'reason': reason}))
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
