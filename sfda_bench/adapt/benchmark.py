"""``tools/benchmark.py thresholds``: streaming class-balanced thresholds against sorting."""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from sfda_bench.errors import BenchError

CLASSES, HEIGHT, WIDTH = 19, 512, 1024
#: Maps made beforehand and cycled through, so that making them is not timed; no multiple of the
#: four places where the sampled bands may start.
DISTINCT = 5
PORTION = 0.2
SIDES = ('streaming', 'same_pixels', 'sorting')


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Register the ``thresholds`` benchmark."""
    parser = subparsers.add_parser('thresholds', help='class-balanced thresholds against sorting')
    parser.add_argument('--maps', type=int, default=500, help='probability maps (default 500)')
    parser.add_argument('--device', default='cpu', help='where the maps lie: cpu (default), cuda')
    parser.add_argument('--json', action='store_true', help='print one JSON object')
    parser.add_argument('--side', choices=SIDES, help=argparse.SUPPRESS)
    parser.set_defaults(run=run)


def make_maps(
    device: str, distinct: int = DISTINCT, size: tuple[int, int] = (HEIGHT, WIDTH)
) -> list[Any]:
    """Smooth soft-max maps (C, H, W), confident in parts, as a trained network gives them."""
    import torch

    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(distinct, CLASSES, size[0] // 32, size[1] // 32, generator=generator) * 4
    fine = torch.nn.functional.interpolate(coarse, size=size, mode='bilinear')
    return [maps.to(device) for maps in fine.softmax(dim=1)]


def filled(maps: Iterator, verb: str = 'update', **sample: int) -> Any:
    """The histograms after a method of theirs took each map, with ``rows`` or ``stride``."""
    from sfda_bench.adapt.thresholds import ConfidenceHistogram

    histogram = None
    for item in maps:
        histogram = histogram or ConfidenceHistogram(CLASSES, device=item.device, **sample)
        getattr(histogram, verb)(item)
    return histogram


def streaming(maps: Iterator) -> list[float]:
    """Ours: every fourth band of rows into the histograms; constant memory."""
    return filled(maps, rows=4).thresholds(PORTION).theta


def same_pixels(maps: Iterator) -> list[float]:
    """Ours on the very pixels that :func:`sorting` takes, every fourth of each class."""
    return filled(maps, stride=4).thresholds(PORTION).theta


def sorting(maps: Iterator) -> list[float]:
    """The reference: every fourth confidence of each class, collected and sorted with NumPy."""
    from sfda_bench.adapt.thresholds import every_nth, exact_thresholds

    lists: list[list[np.ndarray]] = [[] for _ in range(CLASSES)]
    for item in maps:
        array = item.cpu().numpy()
        confidence, labels = array.max(axis=0), array.argmax(axis=0)
        for index, values in enumerate(every_nth(confidence, labels, CLASSES)):
            lists[index].append(values)
    return exact_thresholds([np.concatenate(parts) for parts in lists], PORTION).tolist()


def sorting_arg_max(maps: Iterator) -> None:
    """The part of :func:`sorting` that finds confidences and classes."""
    for item in maps:
        array = item.cpu().numpy()
        array.max(axis=0), array.argmax(axis=0)


#: Each side whole, and its first part alone.
WORK: dict[str, tuple[Callable[[Iterator], Any], Callable[[Iterator], Any]]] = {
    'streaming': (streaming, partial(filled, verb='largest', rows=4)),
    'same_pixels': (same_pixels, partial(filled, verb='largest', stride=4)),
    'sorting': (sorting, sorting_arg_max),
}


def cycle(maps: list, number: int) -> Iterator:
    """``number`` maps from the few there are."""
    return (maps[index % len(maps)] for index in range(number))


def measure_side(side: str, number: int, device: str) -> dict[str, Any]:
    """Seconds, thresholds and growth of the peak memory of one side, in this process."""
    import torch

    torch.set_num_threads(1)
    maps = make_maps(device)
    work, first = WORK[side]
    synchronise = torch.cuda.synchronize if device != 'cpu' else lambda: None

    def timed(part: Callable[[Iterator], Any]) -> tuple[float, float, Any]:
        synchronise()
        start, cpu = time.perf_counter(), time.process_time()
        result = part(cycle(maps, number))
        synchronise()
        return time.perf_counter() - start, time.process_time() - cpu, result

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    work(cycle(maps, 2))
    if device != 'cpu':
        torch.cuda.reset_peak_memory_stats()
        before_gpu = torch.cuda.memory_allocated()
    wall, cpu, theta = timed(work)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    first_wall, first_cpu, _ = timed(first)
    found = {'wall_s': wall, 'cpu_s': cpu, 'arg_max_wall_s': first_wall}
    found |= {'arg_max_cpu_s': first_cpu, 'peak_growth_mb': grown / 1024, 'theta': theta}
    if device != 'cpu':
        peak = torch.cuda.max_memory_allocated() - before_gpu
        found['gpu_peak_growth_mb'] = peak / 2**20
    return found


def measure(number: int, device: str) -> dict[str, Any]:
    """Both sides, each in a process of its own so that their peaks are their own."""
    if number < 1:
        raise BenchError(f'{number} maps', 'one or more')
    found: dict[str, Any] = {}
    for side in SIDES:
        command = [sys.executable, sys.argv[0], 'thresholds', '--side', side]
        command += ['--maps', str(number), '--device', device]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BenchError(f'the {side} side failed: {done.stderr[-500:]}')
        found[side] = json.loads(done.stdout.splitlines()[-1])
    key = 'cpu_s' if device == 'cpu' else 'wall_s'
    base = found['sorting']
    for side in SIDES[:-1]:
        row = found[side]
        row['ratio'] = base[key] / row[key]
        rest = [max(each[key] - each[f'arg_max_{key}'], 1e-9) for each in (base, row)]
        row['ratio_after_arg_max'] = rest[0] / rest[1]
        pairs = zip(row['theta'], base['theta'], strict=True)
        row['largest_difference'] = max(abs(a - b) for a, b in pairs)
    return found


def run(args: argparse.Namespace) -> int:
    """Print the figures."""
    if args.side:
        print(json.dumps(measure_side(args.side, args.maps, args.device)))
        return 0
    found = measure(args.maps, args.device)
    if args.json:
        print(json.dumps(found))
        return 0
    print(f'{args.maps} maps of {CLASSES} x {HEIGHT} x {WIDTH} on {args.device}, one CPU thread')
    for side in SIDES:
        row = found[side]
        text = f'  {side:12s}{row["wall_s"]:9.2f} s wall{row["cpu_s"]:9.2f} s CPU'
        text += f' (arg-max{row["arg_max_cpu_s"]:8.2f} s)'
        text += f'{row["peak_growth_mb"]:9.0f} MB peak above the maps'
        if 'gpu_peak_growth_mb' in row:
            text += f', {row["gpu_peak_growth_mb"]:.0f} MB on the GPU'
        print(text)
    from sfda_bench.adapt.thresholds import BINS

    held = CLASSES * BINS * 8 / 2**20
    print(f'  the histograms hold {held:.0f} MB; peaks count from that of making the maps')
    for side, sample in (('streaming', 'every fourth band'), ('same_pixels', 'the same pixels')):
        row = found[side]
        print(f'  {side} ({sample}): ratio {row["ratio"]:.1f} as a whole,', end=' ')
        print(f'{row["ratio_after_arg_max"]:.1f} after the arg-max;', end=' ')
        print(f'thresholds differ by at most {row["largest_difference"]:.1e}')
    return 0
