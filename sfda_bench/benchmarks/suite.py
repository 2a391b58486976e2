"""All benchmarks, each in a process of its own, and the records of what they found."""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sfda_bench.atomic import write_text
from sfda_bench.errors import BenchError
from sfda_bench.store.benchmark import BenchmarkRecord, Ratio

#: A method's step against its bare passes.
STEP_AIM = 1.10


@dataclass(frozen=True)
class Benchmark:
    """One command.

    Attributes:
        name: File of its record.
        title: Heading of its part of the page.
        words: The sub-command with its flags.
        quick: Further flags of a quick run.
        ratios: From what it prints as JSON to ratios.
        facts: Further numbers of it.
    """

    name: str
    title: str
    words: tuple[str, ...]
    quick: tuple[str, ...]
    ratios: Callable[[Any], list[Ratio]]
    facts: Callable[[Any], dict[str, float]] = lambda found: {}


def _readers(found: Any) -> list[Ratio]:
    return [
        Ratio(what=f'{r["dataset"]}: reader against plain decoding', value=r['ratio'], aim=0.95)
        for r in found
    ]


def _scoring(found: Mapping[str, float]) -> list[Ratio]:
    told = 'throughput of scoring against cityscapesscripts'
    return [
        Ratio(what=told, value=found['ratio']),
        Ratio(what=f'{told}, its reading of files not counted', value=found['ratio_without_png']),
    ]


def _thresholds(found: Mapping[str, Any]) -> list[Ratio]:
    return [
        Ratio(what=f'class-balanced thresholds, {told}, against sorting', value=found[key]['ratio'])
        for key, told in (('streaming', 'streaming'), ('same_pixels', 'on the same pixels'))
    ]


def _validators(found: Mapping[str, float]) -> list[Ratio]:
    return [Ratio(what='sums of validators against plain ones in float64', value=found['ratio'])]


def _steps(found: Mapping[str, Any]) -> list[Ratio]:
    return [
        Ratio(
            what=f'step of {name} against its bare passes', value=row['ratio'], aim=STEP_AIM,
            better='lower',
        )
        for name, row in sorted(found.items())
    ]  # fmt: skip


def _memory(found: Mapping[str, Any]) -> list[Ratio]:
    return [
        Ratio(what=f'memory of a step of {name}: forecast against measured', value=row['ratio'])
        for name, row in sorted(found.items())
    ]


BENCHMARKS = (
    Benchmark('scoring', 'Scoring', ('scoring',), ('--images', '1'), _scoring),
    Benchmark(
        'validators', 'Validators', ('validators',), ('--maps', '5'), _validators,
        lambda found: {
            'seconds for 500 maps of 19 x 128 x 256': found['seconds'],
            'bytes kept of an image': found['bytes_an_image'],
        },
    ),
    Benchmark('thresholds', 'Thresholds', ('thresholds',), ('--maps', '50'), _thresholds),
    Benchmark('data', 'Decoding', ('data',), ('--images', '4'), _readers),
    Benchmark(
        'memory', 'Forecast of memory, CGNet, 256 x 512', ('memory',), ('--method', 'tent'), _memory
    ),
    Benchmark(
        'methods_cgnet', 'Steps of methods, CGNet, 256 x 512', ('methods', '--repeats', '3'),
        ('--repeats', '1'), _steps,
    ),
    Benchmark(
        'methods_r101', 'Steps of methods, ResNet-101, 256 x 512',
        ('methods', '--network', 'deeplabv2_r101', '--batch', '1', '--repeats', '2'),
        ('--repeats', '1'), _steps,
    ),
)  # fmt: skip


def chosen(names: list[str] | None) -> list[Benchmark]:
    """Benchmarks by their names, all without any.

    Raises:
        BenchError: There is no such benchmark.
    """
    known = {benchmark.name: benchmark for benchmark in BENCHMARKS}
    for name in names or ():
        if name not in known:
            raise BenchError(f'benchmark {name}', f'one of: {", ".join(known)}')
    return [benchmark for name, benchmark in known.items() if not names or name in names]


def run(benchmark: Benchmark, out: Path, quick: bool, state: Mapping[str, Any]) -> BenchmarkRecord:
    """Run one benchmark and write its record.

    Args:
        benchmark: What to run.
        out: Folder of the records.
        quick: With less of everything.
        state: ``commit`` and ``dirty`` of the code.

    Raises:
        BenchError: It failed.
    """
    from sfda_bench.run.machine import hardware, versions

    words = [*benchmark.words, *(benchmark.quick if quick else ())]
    command = [sys.executable, '-m', 'sfda_bench.cli.main', 'benchmark', *words, '--json']
    load, began = os.getloadavg()[0], time.monotonic()
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        encoding='utf-8',
        env={**os.environ, 'OMP_NUM_THREADS': '1'},
    )
    try:
        found = json.loads(done.stdout)
    except ValueError:
        raise BenchError(
            f'benchmark {benchmark.name} ended with code {done.returncode} and no result',
            'JSON on standard output',
            f'see why: python tools/benchmark.py {" ".join(words)}',
        ) from None
    record = BenchmarkRecord(
        name=benchmark.name,
        title=benchmark.title,
        command=f'python tools/benchmark.py {" ".join(words)}',
        ratios=benchmark.ratios(found),
        facts=benchmark.facts(found),
        seconds=round(time.monotonic() - began, 1),
        load=round(load, 2),
        hardware=hardware(),
        versions=versions(),
        created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec='seconds'),
        **state,
    )
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / f'{benchmark.name}.json', record.model_dump_json(indent=1) + '\n')
    return record
