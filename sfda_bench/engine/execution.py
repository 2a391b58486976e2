"""How a network computes: number format, memory layout, compiler.

Backbones and heads run in the format that is asked for and hand on float32, so that losses,
thresholds, averages and arg-max are computed as ever, whatever the stage: adapting, labelling, a
stream or a score.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmseg.models.segmentors.base import BaseSegmentor
from torch import Tensor, nn

from sfda_bench.errors import BenchError, require_known
from sfda_bench.registry import HOOKS, OPTIM_WRAPPERS

FORMATS = {'fp32': torch.float32, 'bf16': torch.bfloat16, 'fp16': torch.float16}
#: The parts of a segmentor that compute with images or features.
PARTS = ('backbone', 'neck', 'decode_head', 'auxiliary_head')


def parts_of(model: nn.Module) -> Iterator[nn.Module]:
    """Backbones, necks and heads of every segmentor inside a model, each once."""
    seen: set[int] = set()
    for network in model.modules():
        if not isinstance(network, BaseSegmentor):
            continue
        for name in PARTS:
            part = getattr(network, name, None)
            for module in part if isinstance(part, nn.ModuleList) else [part]:
                if isinstance(module, nn.Module) and id(module) not in seen:
                    seen.add(id(module))
                    yield module


def widened(value: Any) -> Any:
    """``value`` with every tensor of a shorter floating-point format as float32."""
    if isinstance(value, Tensor):
        return value.float() if value.dtype in (torch.bfloat16, torch.float16) else value
    if isinstance(value, dict):
        return {key: widened(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(widened(item) for item in value)
    return value


def compute_in(part: nn.Module, dtype: torch.dtype) -> None:
    """Let a module compute in ``dtype`` and return float32; weights stay as they are.

    A copy of the module computes so, too; one that was pickled has to be told again.
    """
    plain = type(part).forward

    def forward(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        device = next(self.parameters()).device.type
        with torch.autocast(device, dtype):
            return widened(plain(self, *args, **kwargs))

    # bound as a method, which a deep copy binds to the copy
    setattr(part, 'forward', types.MethodType(forward, part))  # noqa: B010


@HOOKS.register_module()
class ExecutionHook(Hook):
    """Set how the networks of a stage compute, before its first iteration.

    Args:
        precision: ``'fp32'``, or ``'bf16'`` / ``'fp16'``: autocast of backbones and heads.
        channels_last: Keep weights and features with the channels last in memory.
        compile: Backend of ``torch.compile`` for backbones; ``None``: not compiled.
    """

    priority = 'VERY_HIGH'

    def __init__(
        self, precision: str = 'fp32', channels_last: bool = False, compile: str | None = None
    ) -> None:
        self.precision = require_known('precision', precision, FORMATS)
        self.channels_last, self.backend = channels_last, compile

    def before_run(self, runner: Any) -> None:
        """Set up the model that was built."""
        self.apply(runner.model)

    def after_load_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Set up the model again: a stream that continues has taken over a pickled one."""
        self.apply(runner.model)

    def apply(self, model: nn.Module) -> None:
        """Set up all networks of a model; more than once changes nothing.

        Raises:
            BenchError: The device has no such format.
        """
        parts = list(parts_of(model))
        if self.channels_last:
            to_channels_last: Callable[..., Any] = model.to
            to_channels_last(memory_format=torch.channels_last)
        if self.precision != 'fp32':
            if parts:
                require_format(next(parts[0].parameters()).device.type, self.precision)
            for part in parts:
                compute_in(part, FORMATS[self.precision])
        if self.backend is not None:
            for network in model.modules():
                backbone = getattr(network, 'backbone', None)
                if isinstance(network, BaseSegmentor) and isinstance(backbone, nn.Module):
                    backbone.compile(backend=self.backend)


def require_format(device: str, precision: str) -> None:
    """Refuse a format that a device does not compute in.

    Raises:
        BenchError: It does not.
    """
    if precision == 'fp16' and device == 'cpu':
        raise BenchError('precision fp16 on a CPU', 'bf16 or fp32 there', '--precision bf16')
    if precision == 'bf16' and device == 'cuda' and not torch.cuda.is_bf16_supported():
        raise BenchError(
            f'precision bf16 on {torch.cuda.get_device_name()}',
            'a GPU that has it (Ampere or later)',
            '--precision fp16',
        )


@OPTIM_WRAPPERS.register_module()
class ScaledOptimWrapper(AmpOptimWrapper):
    """mmengine's wrapper that scales the loss, without its autocast of the whole step.

    Gradients of networks that compute in float16 need the scale; what is computed in float16 is
    decided by :class:`ExecutionHook`.
    """

    def optim_context(self, model: nn.Module) -> Any:
        """As of the plain wrapper."""
        return OptimWrapper.optim_context(self, model)
