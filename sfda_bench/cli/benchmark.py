"""``benchmark``: what :mod:`sfda_bench.benchmarks` measures, printed."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tabulate import tabulate

from sfda_bench.errors import BenchError


def data(args: argparse.Namespace) -> int:
    """Decoding; exit code 1 if a reader is slower than it should be."""
    from sfda_bench.benchmarks import decoding
    from sfda_bench.stack import import_stack

    import_stack()  # what its packages print while they are imported is no result
    results = _decoding(args)
    if args.json:
        print(json.dumps([{**asdict(r), 'ratio': r.ratio} for r in results], indent=2))
    else:
        print(decoding_table(results))
    return 0 if all(r.ratio >= decoding.TARGET for r in results) else 1


def _decoding(args: argparse.Namespace) -> list[Any]:
    from sfda_bench.benchmarks import decoding
    from sfda_bench.cli.doctor import require_data_root
    from sfda_bench.data.catalogue import LAYOUTS

    if not args.data_root:
        with tempfile.TemporaryDirectory() as folder:
            decoding.rendered(folder, args.images)
            return decoding.measure_all(folder, args.images, args.repeats)
    root = require_data_root(args.data_root)
    results = decoding.measure_all(root, args.images, args.repeats)
    if not results:
        raise BenchError(
            f'no known data set in {root}',
            f'folders named {", ".join(LAYOUTS)}',
            'python tools/prepare_data.py list',
        )
    return results


def decoding_table(results: Sequence[Any]) -> str:
    """The throughputs of :func:`~sfda_bench.benchmarks.decoding.measure_all` as a table."""
    from sfda_bench.benchmarks.decoding import TARGET

    rows = [
        [r.dataset, r.size, r.images, f'{r.plain:.1f}', f'{r.reader:.1f}', f'{r.ratio:.2f}']
        for r in results
    ]
    head = ['data set', 'size', 'images', 'plain /s', 'reader /s', f'ratio (>= {TARGET})']
    return tabulate(rows, head)


def engine(args: argparse.Namespace) -> int:
    """A cached call, and the start of a stage."""
    from sfda_bench.benchmarks import overhead
    from sfda_bench.cli.scripts import run_suite

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        root = overhead.tiny_world(folder)
        seconds, entries = overhead.cached_call(folder, root, args.entries, run_suite)
        imports = overhead.import_seconds()
        print(f'cached call over {entries} entries: {seconds:.2f} s (imports take {imports:.2f} s)')
        first, later = overhead.stage_start(folder, root)
        print(f'start of a stage: {first:.2f} s for the first, {later:.2f} s after that')
    return 0


def methods(args: argparse.Namespace) -> int:
    """Steps of methods; exit code 1 if one is above the limit."""
    from sfda_bench.benchmarks import step_time

    step_time.prepare_process()
    timing = step_time.Timing(args.network, tuple(args.size), args.batch, args.repeats, args.device)
    results = {}
    for name, stage in step_time.stages_of(args.method):
        row = results[name] = step_time.measure(stage, timing)
        if not args.json:
            times = f'{row["step"]:8.3f} s  passes {row["passes"]:8.3f} s'
            print(f'{name:28} {times}  ratio {row["ratio"]:.3f}', flush=True)
    if not results:
        raise BenchError('no stage to time', 'a method with an adapting stage')
    if args.json:
        print(json.dumps(results))
    return int(max(row['ratio'] for row in results.values()) > step_time.LIMIT)


def memory(args: argparse.Namespace) -> int:
    """The forecast of memory against the allocator's peak, a step each."""
    from sfda_bench.benchmarks import step_time
    from sfda_bench.benchmarks.memory import measure

    step_time.prepare_process()
    timing = step_time.Timing(args.network, tuple(args.size), args.batch)
    results = {}
    for name, stage in step_time.stages_of(args.method):
        row = results[name] = measure(stage, timing)
        if not args.json:
            sizes = f'{row["forecast"] / 2**20:8.0f} MB  measured {row["measured"] / 2**20:8.0f} MB'
            print(f'{name:28} forecast {sizes}  ratio {row["ratio"]:.2f}', flush=True)
    if args.json:
        print(json.dumps(results))
    return 0


def scoring(args: argparse.Namespace) -> int:
    """Scoring against the reference evaluator."""
    from sfda_bench.benchmarks.scoring import measure

    found = measure(args.images, args.repeat)
    if args.json:
        print(json.dumps({key: round(value, 4) for key, value in found.items()}))
        return 0
    print('scoring a 2048 x 1024 image, CPU time')
    print(
        f'  cityscapesscripts evaluatePair  {found["cityscapesscripts_ms"]:7.2f} ms '
        f'(it reads two PNG files: {found["of_which_png_ms"]:.2f} ms)'
    )
    print(f'  ours, arrays as a network gives {found["ours_ms"]:7.2f} ms')
    print(
        f'  ratio of throughput             {found["ratio"]:7.1f} '
        f'(its PNG reading not counted: {found["ratio_without_png"]:.1f})'
    )
    print(f'paired bootstrap, 10,000 samples of 500 images: {found["paired_bootstrap_s"]:.2f} s')
    return 0


def thresholds(args: argparse.Namespace) -> int:
    """Thresholds against sorting."""
    from sfda_bench.benchmarks.thresholds import measure

    found = measure(args.maps, args.device)
    print(json.dumps(found) if args.json else _thresholds_text(found, args.maps, args.device))
    return 0


def _thresholds_text(found: dict[str, Any], maps: int, device: str) -> str:
    from sfda_bench.adapt.thresholds import BINS
    from sfda_bench.benchmarks.thresholds import CLASSES, HEIGHT, SIDES, WIDTH

    lines = [f'{maps} maps of {CLASSES} x {HEIGHT} x {WIDTH} on {device}, one CPU thread']
    for side in SIDES:
        row = found[side]
        text = f'  {side:12s}{row["wall_s"]:9.2f} s wall{row["cpu_s"]:9.2f} s CPU'
        text += f' (arg-max{row["arg_max_cpu_s"]:8.2f} s)'
        text += f'{row["peak_growth_mb"]:9.0f} MB peak above the maps'
        if 'gpu_peak_growth_mb' in row:
            text += f', {row["gpu_peak_growth_mb"]:.0f} MB on the GPU'
        lines.append(text)
    held = CLASSES * BINS * 8 / 2**20
    lines.append(f'  the histograms hold {held:.0f} MB; peaks count from that of making the maps')
    for side, sample in (('streaming', 'every fourth band'), ('same_pixels', 'the same pixels')):
        row = found[side]
        lines.append(
            f'  {side} ({sample}): ratio {row["ratio"]:.1f} as a whole, '
            f'{row["ratio_after_arg_max"]:.1f} after the arg-max; '
            f'thresholds differ by at most {row["largest_difference"]:.1e}'
        )
    return '\n'.join(lines)


def validators(args: argparse.Namespace) -> int:
    """Sums of predictions that validators need; exit code 1 if they take longer than promised."""
    from sfda_bench.benchmarks import validators as room

    found = room.measure(args.maps, args.repeat)
    if args.json:
        print(json.dumps({key: round(value, 4) for key, value in found.items()}))
    else:
        print(f'{room.MAPS} maps of {room.CLASSES} x {room.HEIGHT} x {room.WIDTH} logits, CPU time')
        print(f'  ours               {found["seconds"]:7.2f} s (aim: under {room.SECONDS:.0f} s)')
        print(f'  plain, in float64  {found["plain_seconds"]:7.2f} s')
        print(f'  ratio              {found["ratio"]:7.1f}')
        print(f'  kept of an image   {found["bytes_an_image"]:7.0f} bytes')
    return 0 if found['seconds'] < room.SECONDS else 1


def everything(args: argparse.Namespace) -> int:
    """All benchmarks one after the other; exit code 1 if a promise is not kept."""
    from sfda_bench.benchmarks import suite
    from sfda_bench.run.collect import commit

    broken, state = [], commit()
    wanted = suite.chosen(args.only)
    for number, benchmark in enumerate(wanted, 1):
        if args.only_missing and (args.out / f'{benchmark.name}.json').is_file():
            print(f'[{number}/{len(wanted)}] {benchmark.name}: measured before', flush=True)
            continue
        print(f'[{number}/{len(wanted)}] {benchmark.name}', flush=True)
        record = suite.run(benchmark, args.out, args.quick, state)
        for ratio in record.ratios:
            mark = {True: 'ok', False: 'NOT MET', None: ''}[ratio.met]
            print(f'  {ratio.what:60} {ratio.value:8.3f}  {mark}', flush=True)
            broken += [ratio.what] if ratio.met is False else []
        print(f'  {record.seconds:.0f} s', flush=True)
    print(f'records: {args.out}\npage:    python tools/make_leaderboard.py')
    return 1 if broken else 0
