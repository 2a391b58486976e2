"""A tiny real run reduced to one digest: equal digests mean bit-exact weights and counts.

``python -m tests.suite.golden`` pins the digests of this platform, after a change that is meant.
"""

from __future__ import annotations

import hashlib
import json
import platform
import tempfile
from pathlib import Path

import torch

from sfda_bench.data.pocket.world import ensure_pocket
from sfda_bench.suite.names import FINAL_NAME
from sfda_bench.suite.record import load_records
from tests.conftest import TINY
from tests.suite.conftest import Bench

PINS = Path(__file__).with_name('golden.json')
METHODS = ('source_only', 'tent[iters=4,batch_size=2]', 'stvm[iters=4,batch_size=2]')


def run_digest(bench: Bench) -> dict[str, str]:
    """Run source training, Tent and STvM for a few iterations; a digest of each entry's result.

    Weights by name and bytes, then the confusion counts: what the whole chain of rendering,
    decoding, augmentation, optimisation and scoring leads to.
    """
    found = {}
    plan = bench.plan(*METHODS)
    assert bench.run(plan).failures == []
    counts = {
        record.entry.method: record.counts_sha256 for _, record in load_records(bench.records)
    }
    for entry in plan.entries:
        stage = entry.stages[-2]
        state = torch.load(bench.store.path(stage) / FINAL_NAME, weights_only=True)['state_dict']
        digest = hashlib.sha256()
        for name in sorted(state):
            digest.update(name.encode())
            digest.update(state[name].contiguous().numpy().tobytes())
        digest.update(counts[entry.key.method].encode())
        found[entry.key.method] = digest.hexdigest()[:16]
    return found


def platform_key() -> str:
    """What bits depend on besides the code: torch, its vector instructions, the processor."""
    flags = ''
    cpuinfo = Path('/proc/cpuinfo')
    if cpuinfo.is_file():
        lines = cpuinfo.read_text().splitlines()
        flags = next((line for line in lines if line.startswith(('flags', 'Features'))), '')
    short = hashlib.sha256(flags.encode()).hexdigest()[:8]
    capability = torch.backends.cpu.get_cpu_capability()
    return f'torch {torch.__version__}, {platform.machine()} {capability}, flags {short}'


def pins() -> dict[str, dict[str, str]]:
    """Digests of known platforms."""
    return json.loads(PINS.read_text())


def pin() -> None:
    """Write the digests of this platform."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        ensure_pocket(root / 'data', TINY, workers=1)
        found = {**pins(), platform_key(): run_digest(Bench(root / 'data', root))}
    PINS.write_text(json.dumps(found, indent=1, sort_keys=True) + '\n')


if __name__ == '__main__':
    pin()
