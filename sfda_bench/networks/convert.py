"""From a foreign checkpoint to a plain mmseg state dict, strictly."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from sfda_bench.errors import require_known
from sfda_bench.networks.build import expected_state
from sfda_bench.networks.cgnet_keys import convert_cgnet
from sfda_bench.networks.state import State, read_file, require_same_keys, tensors_only

Converter = Callable[[Mapping[str, Tensor]], State]


def _plain(state: Mapping[str, Tensor]) -> State:
    return dict(state)


#: Converters by the name a network's ``source`` gives; each maps a flat state dict to mmseg's keys.
CONVERTERS: dict[str, Converter] = {'mmseg': _plain, 'cgnet': convert_cgnet}


def convert_checkpoint(
    path: Path | str,
    converter: str,
    network_model_cfg: Mapping[str, Any],
    *,
    trust: bool = False,
) -> State:
    """Read a foreign checkpoint and return the state dict of the network's segmentor.

    Args:
        path: The checkpoint file.
        converter: A name in :data:`CONVERTERS`.
        network_model_cfg: The ``model`` of the network config.
        trust: See :func:`sfda_bench.networks.state.read_file`.

    Raises:
        BenchError: Unknown converter, unreadable file, or keys and shapes that do not fit; the
            message lists what is missing and what is left over.
    """
    rename = CONVERTERS[require_known('checkpoint converter', converter, CONVERTERS)]
    state = rename(flat_state(read_file(Path(path), trust)))
    require_same_keys(state, expected_state(network_model_cfg), f'{path} ({converter})')
    return state


def flat_state(content: Any) -> State:
    """The state dict inside a checkpoint, under ``state_dict`` or ``model`` or bare."""
    if not isinstance(content, Mapping):
        return {}
    for wrapper in ('state_dict', 'model'):
        inner = content.get(wrapper)
        if isinstance(inner, Mapping) and tensors_only(inner):
            content = inner
            break
    state = tensors_only(content)
    if state and all(key.startswith('module.') for key in state):
        state = {key[len('module.') :]: value for key, value in state.items()}
    return state
