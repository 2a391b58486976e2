"""Streaming class-balanced thresholds against sorting."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Any

import numpy as np

from sfda_bench.errors import BenchError

CLASSES, HEIGHT, WIDTH = 19, 512, 1024
#: Maps made beforehand and cycled through, so that making them is not timed; no multiple of the
#: four places where the sampled bands may start.
DISTINCT = 5
PORTION = 0.2
SIDES = ('streaming', 'same_pixels', 'sorting')


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
        with ProcessPoolExecutor(1, mp_context=get_context('spawn')) as pool:
            try:
                found[side] = pool.submit(measure_side, side, number, device).result()
            except (RuntimeError, AssertionError) as error:  # of torch: no such device, no memory
                raise BenchError(f'the {side} side failed: {error}') from error
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
