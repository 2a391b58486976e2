"""State dicts in memory: comparing, key bookkeeping. No architecture here."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sfda_bench.errors import BenchError

State = dict[str, Tensor]
_STATS = '.running_mean'
_COUNTER = '.num_batches_tracked'


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal digits."""
    digest = hashlib.sha256()
    with Path(path).open('rb') as file:
        for block in iter(lambda: file.read(1 << 20), b''):
            digest.update(block)
    return digest.hexdigest()


def tensors_only(mapping: Mapping[Any, Any]) -> State:
    """The tensor entries of a mapping, with string keys, in their order."""
    return {k: v for k, v in mapping.items() if isinstance(k, str) and isinstance(v, Tensor)}


def strip_prefix(state: Mapping[str, Tensor], prefix: str) -> State:
    """Keys below ``prefix`` without it; other keys are dropped."""
    return {k[len(prefix) :]: v for k, v in state.items() if k.startswith(prefix)}


def add_counters(state: Mapping[str, Tensor]) -> State:
    """Insert zero ``num_batches_tracked`` where an old checkpoint (PyTorch < 0.4.1) has none."""
    out: State = {}
    for key, value in state.items():
        out[key] = value
        if key.endswith(_STATS):
            counter = key[: -len(_STATS)] + _COUNTER
            if counter not in state:
                out[counter] = torch.zeros((), dtype=torch.long)
    return out


def shorten(keys: Iterable[str], limit: int = 6) -> str:
    """A readable list of keys with the rest counted."""
    keys = list(keys)
    tail = f' ... and {len(keys) - limit} more' if len(keys) > limit else ''
    return ', '.join(keys[:limit]) + tail


def differences(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> list[str]:
    """What keeps ``state`` from loading strictly: missing, left-over, misshapen, mistyped keys."""
    missing = [k for k in expected if k not in state]
    extra = [k for k in state if k not in expected]
    shapes = [
        f'{k} {tuple(state[k].shape)} (network: {tuple(expected[k].shape)})'
        for k in expected
        if k in state and state[k].shape != expected[k].shape
    ]
    kinds = [
        f'{k} {state[k].dtype} (network: {expected[k].dtype})'
        for k in expected
        if k in state and state[k].is_floating_point() != expected[k].is_floating_point()
    ]
    lines = []
    found = {'missing': missing, 'left over': extra, 'other shape': shapes, 'other kind': kinds}
    for title, keys in found.items():
        if keys:
            lines.append(f'{len(keys)} keys {title}: {shorten(keys)}')
    return lines


def require_same_keys(
    state: Mapping[str, Tensor], expected: Mapping[str, Tensor], what: str
) -> None:
    """Raise :class:`BenchError` unless names and shapes agree exactly.

    Args:
        state: The state dict to load.
        expected: The network's own state dict.
        what: Names the checkpoint in the message.
    """
    lines = differences(state, expected)
    if lines:
        raise BenchError(
            f'{what} does not fit the network: ' + '; '.join(lines),
            f'exactly the {len(expected)} keys and shapes of the network',
            'tools/convert_checkpoint.py inspect FILE says which network fits',
        )
