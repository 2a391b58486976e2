"""A tiny real run reduced to one digest: equal digests mean bit-exact weights and counts.

``python -m tests.run.golden`` pins the digests of this platform, after a change that is meant.
"""

from __future__ import annotations

import hashlib
import json
import platform
import tempfile
from pathlib import Path

import torch

from sfda_bench.pocket.world import ensure_pocket
from sfda_bench.store.filenames import FINAL_NAME
from sfda_bench.store.record import load_records
from tests.conftest import TINY
from tests.harness import Bench

PINS = Path(__file__).with_name('golden.json')
METHODS = ('source_only', 'tent[iters=4,batch_size=2]', 'stvm[iters=4,batch_size=2]')


def run(bench: Bench) -> tuple[dict[str, str], dict[str, dict[str, float]]]:
    """Run source training, Tent and STvM for a few iterations.

    Returns:
        A digest of each entry's weights (by name and bytes) and confusion counts: what the whole
        chain of rendering, decoding, augmentation, optimisation and scoring leads to; and what of
        it can be compared on any platform, mIoU in percent and the length of all weights together.
    """
    found, numbers = {}, {}
    plan = bench.plan(*METHODS)
    assert bench.run(plan).failures == []
    records = {record.entry.method: record for _, record in load_records(bench.records)}
    for entry in plan.entries:
        stage = entry.stages[-2]
        state = torch.load(bench.store.path(stage) / FINAL_NAME, weights_only=True)['state_dict']
        digest = hashlib.sha256()
        for name in sorted(state):
            digest.update(name.encode())
            digest.update(state[name].contiguous().numpy().tobytes())
        record = records[entry.key.method]
        digest.update(record.counts_sha256.encode())
        found[entry.key.method] = digest.hexdigest()[:16]
        squares = [float((v.double() ** 2).sum()) for v in state.values()]
        numbers[entry.key.method] = {'miou': record.scores.miou, 'norm': sum(squares) ** 0.5}
    return found, numbers


def platform_key() -> str:
    """What bits depend on besides the code: torch, its vector instructions, the processor."""
    flags = ''
    cpuinfo = Path('/proc/cpuinfo')
    if cpuinfo.is_file():
        lines = cpuinfo.read_text(encoding='utf-8').splitlines()
        flags = next((line for line in lines if line.startswith(('flags', 'Features'))), '')
    short = hashlib.sha256(flags.encode()).hexdigest()[:8]
    capability = torch.backends.cpu.get_cpu_capability()
    return f'torch {torch.__version__}, {platform.machine()} {capability}, flags {short}'


def pins() -> dict[str, dict]:
    """Digests of known platforms, and under ``numbers`` what holds on all."""
    return json.loads(PINS.read_text(encoding='utf-8'))


def pin() -> None:
    """Write the digests of this platform."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        ensure_pocket(root / 'data', TINY, workers=1)
        digests, numbers = run(Bench(root / 'data', root))
        found = {**pins(), platform_key(): digests, 'numbers': numbers}
    PINS.write_text(json.dumps(found, indent=1, sort_keys=True) + '\n', encoding='utf-8')


if __name__ == '__main__':
    pin()
