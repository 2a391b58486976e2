"""The one check of weights before they are used: they fit exactly, and every value is a number.

Wherever weights are loaded - the parent of a stage, a converted file, an export - what is missing,
left over, of another shape, or not finite is refused. mmengine itself loads what fits, silently.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sfda_bench.errors import BenchError
from sfda_bench.networks.checkpoints.formats import flat_state, unwrapped
from sfda_bench.networks.checkpoints.reading import read_file
from sfda_bench.networks.checkpoints.state import differences, shorten, tensors_only


def not_finite(state: Mapping[str, Tensor]) -> list[str]:
    """Names of the tensors that hold a NaN or an infinity, with how many, ``name (3 of 64)``."""
    found = []
    for name, value in state.items():
        if value.layout != torch.strided:
            value = value.to_dense()
        if value.is_quantized or not (value.is_floating_point() or value.is_complex()):
            continue
        wrong = value.numel() - int(torch.isfinite(value).sum())
        if wrong:
            found.append(f'{name} ({wrong} of {value.numel()})')
    return found


def require_finite(state: Mapping[str, Tensor], what: str) -> None:
    """Raise :class:`BenchError` if a value is not finite.

    Args:
        state: Tensors by name.
        what: Names the checkpoint in the message.
    """
    found = not_finite(state)
    if found:
        raise BenchError(
            f'{what} has weights that are not finite (NaN or infinity): {shorten(found)}',
            'numbers in every tensor',
            'the training that wrote it diverged, or the file is damaged: take another checkpoint',
        )


def check_weights(path: Path | str, network: nn.Module) -> None:
    """Refuse a plain checkpoint that would not load into a network completely.

    Args:
        path: A file that mmengine is about to load.
        network: The segmentor it is for.

    Raises:
        BenchError: It is unreadable, does not fit exactly, or holds values that are not finite.
    """
    content = read_file(path)
    state = as_mmengine_loads(content)
    expected = network.state_dict()
    # files older than PyTorch 0.4.1 count no batches
    needed = {
        key: value
        for key, value in expected.items()
        if key in state or not key.endswith('.num_batches_tracked')
    }
    lines = differences(state, needed)
    if lines:
        raise BenchError(
            f'{path} does not fit the network: ' + '; '.join(lines) + _where(content, expected),
            f'exactly the {len(expected)} keys and shapes of the network, bare or in `state_dict`',
            f'python tools/convert_checkpoint.py inspect {path}',
        )
    require_finite(state, str(path))


def as_mmengine_loads(content: Any) -> dict[str, Tensor]:
    """The tensors that mmengine would load from a file: bare or in ``state_dict``."""
    inner = content.get('state_dict', content) if isinstance(content, Mapping) else {}
    state = tensors_only(inner) if isinstance(inner, Mapping) else {}
    return {key.removeprefix('module.'): value for key, value in state.items()}


def _where(content: Any, expected: Mapping[str, Tensor]) -> str:
    """Where in the file the weights are instead, if they are there."""
    state, place = unwrapped(content)
    if place and flat_state(content).keys() & expected.keys() and state:
        return f'; its weights are {place}'
    return ''
