"""The gate's diagnosis: which convention does a foreign checkpoint expect instead of ours?

A checkpoint whose source-only score is not the stated one usually meets another input convention,
head or class order than it was trained with. Each likely cause is a :class:`Variant` of the
network; the caller scores the variants on a few images, and the one that restores the score is
named. Pure functions: nothing here reads images or runs a model.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from sfda_bench.errors import BenchError
from sfda_bench.labels import SYNTHIA16
from sfda_bench.networks.declare import heads_of, with_heads

# mean and std in RGB order
_STATISTICS = {
    'Caffe': ((122.67891434, 116.66876762, 104.00698793), (1.0, 1.0, 1.0)),
    'ImageNet': ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    'ImageNet mean, no std': ((123.675, 116.28, 103.53), (1.0, 1.0, 1.0)),
    'Cityscapes mean, no std': ((72.39239876, 82.90891754, 73.15835921), (1.0, 1.0, 1.0)),
    'unit interval': ((0.0, 0.0, 0.0), (255.0, 255.0, 255.0)),
    'symmetric interval': ((127.5, 127.5, 127.5), (127.5, 127.5, 127.5)),
    'raw 0-255': ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}
_RESIZES = (('pillow', 'bicubic'), ('cv2', 'bilinear'), ('pillow', 'bilinear'))


@dataclass(frozen=True)
class Variant:
    """The network with one convention changed.

    Attributes:
        cause: 'channel order', 'mean', 'branches', 'align_corners', 'resize' or 'class order', or
            several joined by ' and '; '' for the network as given.
        change: What is changed, for people.
        network: The ``network`` block (``input`` decides order, statistics and resizing).
        model: The segmentor config.
        prediction_map: Class each output channel stands for, ``None`` = as the task says.
    """

    cause: str
    change: str
    network: dict[str, Any]
    model: dict[str, Any]
    prediction_map: tuple[int, ...] | None = None


@dataclass
class Diagnosis:
    """What the variants scored, in percent.

    Attributes:
        expected: The stated source-only score.
        tolerance: Allowed distance from it.
        measured: Full source-only score that failed the gate.
        given: Score of the network as given on the few images.
        tried: Each variant with its score on the same images, in the order of likelihood.
        best: The variant that restores the score, ``None`` if none does.
    """

    expected: float
    tolerance: float
    measured: float
    given: float
    tried: list[tuple[Variant, float]] = field(default_factory=list)
    best: Variant | None = None


def passes(measured: float, expected: float, tolerance: float) -> bool:
    """Whether a measured source-only score agrees with the stated one."""
    return abs(measured - expected) <= tolerance


def candidate_variants(
    network: Mapping[str, Any],
    model: Mapping[str, Any],
    counts: NDArray | None = None,
    task_map: Sequence[int] | None = None,
    resizes: bool = True,
) -> list[Variant]:
    """All likely causes as variants, the likeliest first, pairs of causes last.

    Args:
        network: The ``network`` block as declared.
        model: The segmentor config as declared.
        counts: Optional confusion counts (K, K) or (K, K + 1) of the network as given, rows truth:
            a better matching of predictions to classes is proposed from them.
        task_map: The task's own prediction map; where there is one, no matching is proposed.
        resizes: Whether the inference protocol resizes at all.
    """
    makers = [_orders, _means, _branches, _alignment, *([_resizes] if resizes else [])]
    out = [variant for make in makers for variant in make(network, model)]
    out.extend(_class_orders(network, model, counts, task_map))
    return sorted(out, key=lambda variant: ' and ' in variant.cause)


def diagnose(
    score: Callable[[Variant], float],
    network: Mapping[str, Any],
    model: Mapping[str, Any],
    *,
    expected: float,
    measured: float,
    tolerance: float = 1.0,
    counts: NDArray | None = None,
    task_map: Sequence[int] | None = None,
    resizes: bool = True,
) -> Diagnosis:
    """Score the candidates and name the one that restores the expected score.

    The few images may be easier or harder than the whole set: the score to restore on them is the
    stated one plus the difference the network as given shows. A variant restores it if it closes
    at least half of the gap, and more than the tolerance; of several the nearest counts (a wrong
    convention can even score higher under a domain shift). Changes of two conventions are tried
    only when no single one helps.

    Args:
        score: mIoU in percent of a variant on a few images (20 are enough), always the same ones.
        network, model, counts, task_map, resizes: See :func:`candidate_variants`.
        expected: Stated source-only score.
        measured: Source-only score measured on all images.
        tolerance: Allowed distance in points.
    """
    as_given = Variant('', 'as given', _plain(network), _plain(model))
    found = Diagnosis(expected, tolerance, measured, score(as_given))
    target = expected + found.given - measured
    candidates = candidate_variants(network, model, counts, task_map, resizes)
    for pair in (False, True):
        for variant in candidates:
            if (' and ' in variant.cause) == pair:
                found.tried.append((variant, score(variant)))
        good = [
            (abs(value - target), place)
            for place, (_, value) in enumerate(found.tried)
            if _restores(value, found.given, target, tolerance)
        ]
        if good:
            found.best = found.tried[min(good)[1]][0]
            break
    return found


def _restores(value: float, given: float, target: float, tolerance: float) -> bool:
    gap = abs(target - given)
    return gap - abs(target - value) >= max(tolerance, gap / 2)


def refusal(found: Diagnosis, checkpoint: str, network: str) -> BenchError:
    """The error that stops a run: the scores, the likely causes in order, the one that helps."""
    lines = [
        f'{checkpoint} scores {found.measured:.2f} source-only with network {network}; '
        f'its card says {found.expected:.2f}',
        f'  on the test images: as given {found.given:.2f}',
    ]
    for variant, value in found.tried:
        mark = '  <- restores the score' if variant is found.best else ''
        lines.append(f'    {variant.cause}: {variant.change}: {value:.2f}{mark}')
    fix = (
        f'the cause is the {found.best.cause}: use {found.best.change} (another network config)'
        if found.best
        else 'none of the usual causes restores it: check the card, the task and the weights'
    )
    return BenchError(
        '\n'.join(lines), f'within {found.tolerance:g} points of the card, before adapting', fix
    )


def _plain(block: Mapping[str, Any]) -> dict[str, Any]:
    plain = block.to_dict() if hasattr(block, 'to_dict') else dict(block)
    return copy.deepcopy(plain)


def _with_input(
    network: Mapping[str, Any], model: Mapping[str, Any], cause: str, change: str, **values: Any
) -> Variant:
    """A variant whose declaration and preprocessor change together."""
    net, mod = _plain(network), _plain(model)
    net['input'].update(values)
    pre = mod['data_preprocessor']
    pre['mean'], pre['std'] = list(net['input']['mean']), list(net['input']['std'])
    pre['bgr_to_rgb'] = net['input']['channel_order'] == 'rgb'
    return Variant(cause, change, net, mod)


def _orders(network: Mapping[str, Any], model: Mapping[str, Any]) -> Iterator[Variant]:
    old = network['input']
    order = 'rgb' if old['channel_order'] == 'bgr' else 'bgr'
    mean, std = list(old['mean']), list(old['std'])
    text = f'{order.upper()} instead of {old["channel_order"].upper()}'
    yield _with_input(network, model, 'channel order', text, channel_order=order)
    if mean != mean[::-1] or std != std[::-1]:
        swapped = {'channel_order': order, 'mean': mean[::-1], 'std': std[::-1]}
        change = f'{text}, mean and std reversed with it'
        yield _with_input(network, model, 'channel order', change, **swapped)


def _means(network: Mapping[str, Any], model: Mapping[str, Any]) -> Iterator[Variant]:
    old = network['input']
    current = (old['channel_order'], [*old['mean']], [*old['std']])
    other = 'rgb' if old['channel_order'] == 'bgr' else 'bgr'
    for order, cause in ((current[0], 'mean'), (other, 'channel order and mean')):
        for name, (mean, std) in _STATISTICS.items():
            step = 1 if order == 'rgb' else -1
            values = {'channel_order': order, 'mean': [*mean[::step]], 'std': [*std[::step]]}
            if tuple(values.values()) != current:
                yield _with_input(
                    network, model, cause, f'{name} statistics in {order.upper()}', **values
                )


def _branches(network: Mapping[str, Any], model: Mapping[str, Any]) -> Iterator[Variant]:
    used = {int(h.get('num_branches', 4)) for _, h in heads_of(model) if h['type'] == 'DLV2Head'}
    for branches in (2, 4):
        if used and used != {branches}:
            text = f'{branches} branches instead of {", ".join(map(str, sorted(used)))}'
            changed = with_heads(_plain(model), num_branches=branches)
            yield Variant('branches', text, _plain(network), changed)


def _alignment(network: Mapping[str, Any], model: Mapping[str, Any]) -> Iterator[Variant]:
    aligned = not network['align_corners']
    net = {**_plain(network), 'align_corners': aligned}
    text = f'align_corners={aligned}'
    yield Variant('align_corners', text, net, with_heads(_plain(model), align_corners=aligned))


def _resizes(network: Mapping[str, Any], model: Mapping[str, Any]) -> Iterator[Variant]:
    old = network['input']
    for lib, mode in _RESIZES:
        if (lib, mode) != (old['lib'], old['mode']):
            text = f'{lib} {mode} instead of {old["lib"]} {old["mode"]}'
            yield _with_input(network, model, 'resize', text, lib=lib, mode=mode)


def _class_orders(
    network: Mapping[str, Any],
    model: Mapping[str, Any],
    counts: NDArray | None,
    task_map: Sequence[int] | None,
) -> Iterator[Variant]:
    orders: list[tuple[str, list[int]]] = []
    if network['num_classes'] == len(SYNTHIA16):
        orders.append(('16 outputs in the order of the 19 train ids', list(SYNTHIA16)))
    if counts is not None and task_map is None:
        matched = match_classes(np.asarray(counts))
        if matched != list(range(len(matched))):
            orders.append(('outputs matched to classes by overlap', matched))
    for text, order in orders:
        yield Variant('class order', text, _plain(network), _plain(model), tuple(order))


def match_classes(counts: NDArray) -> list[int]:
    """For each output the class it overlaps best with, one to one (Hungarian method on IoU).

    Args:
        counts: (K, K) or (K, K + 1) confusion counts, rows truth, columns predictions.
    """
    square = np.asarray(counts, dtype=np.float64)[:, : counts.shape[0]]
    union = square.sum(1, keepdims=True) + square.sum(0, keepdims=True) - square
    overlap = np.divide(square, union, out=np.zeros_like(square), where=union > 0)
    # classes seen nowhere stay where they are
    overlap += 1e-9 * np.eye(len(square))
    truth, output = linear_sum_assignment(-overlap)
    order = np.empty(len(square), dtype=int)
    order[output] = truth
    return [int(v) for v in order]
