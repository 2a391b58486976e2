"""Settings of how an entry's networks compute: ``precision``, ``channels_last``, ``compile``.

They go with every stage of a method and with its score, are part of the ids and of the entry's
name, and are left out where they say what is done anyway: ``tent[precision=fp32]`` is ``tent``. The
source model, its training and its score stay as they are: all rows of a board share them.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sfda_bench.errors import BenchError, require_known

PRECISIONS = ('fp32', 'bf16', 'fp16')
#: ``inductor`` runs a compiler in processes of its own, which a seal forbids.
BACKENDS = ('inductor', 'cudagraphs', 'aot_eager')
NAMES = ('precision', 'channels_last', 'compile')


@dataclass(frozen=True)
class Execution:
    """How the networks of an entry compute.

    Attributes:
        precision: Number format of backbones and heads.
        channels_last: Memory layout of weights and features.
        compile: Backend that compiles backbones; '' for none.
    """

    precision: str = 'fp32'
    channels_last: bool = False
    compile: str = ''

    @property
    def hook(self) -> dict[str, Any]:
        """Arguments of the hook that sets it up, those that are not usual."""
        stated = {'precision': self.precision, 'channels_last': self.channels_last}
        usual = {'precision': 'fp32', 'channels_last': False}
        found: dict[str, Any] = {k: v for k, v in stated.items() if v != usual[k]}
        return {**found, **({'compile': self.compile} if self.compile else {})}

    def changed(self, config: dict[str, Any]) -> dict[str, Any]:
        """The config of a stage whose networks compute so; the same one if that is usual."""
        if not self.hook:
            return config
        config = copy.deepcopy(config)
        hooks = [*config.get('custom_hooks', []), {'type': 'ExecutionHook', **self.hook}]
        config['custom_hooks'] = hooks
        if self.precision == 'fp16':
            for place in (config, config.get('test_cfg', {})):
                if place.get('optim_wrapper'):
                    place['optim_wrapper'] = _scaled(place['optim_wrapper'])
        return config


def split(params: Mapping[str, Any]) -> tuple[Execution, dict[str, Any]]:
    """How the networks compute, and the settings that remain.

    Args:
        params: Settings as the user typed them.

    Raises:
        BenchError: A value that does not exist.
    """
    own = {key: params[key] for key in NAMES if key in params}
    rest = {key: value for key, value in params.items() if key not in NAMES}
    precision = require_known('precision', own.get('precision', 'fp32'), PRECISIONS)
    layout = own.get('channels_last', False)
    if not isinstance(layout, bool):
        raise BenchError(f'channels_last={layout}', 'true or false')
    backend = own.get('compile', False)
    backend = {True: BACKENDS[0], False: '', None: ''}.get(backend, backend)
    if backend:
        require_known('compile', backend, BACKENDS)
    return Execution(precision, layout, backend), rest


def canonical(params: Mapping[str, Any]) -> dict[str, Any]:
    """The settings without those that say what is done anyway."""
    execution, rest = split(params)
    return {**rest, **execution.hook}


def _scaled(wrapper: Mapping[str, Any]) -> dict[str, Any]:
    """An optimiser wrapper, or several by name, with a scaled loss."""
    if 'optimizer' in wrapper:
        return {**wrapper, 'type': 'ScaledOptimWrapper'}
    return {
        name: _scaled(inner) if isinstance(inner, Mapping) else inner
        for name, inner in wrapper.items()
    }
