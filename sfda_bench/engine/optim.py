"""Optimisers of parts of a model, and of groups with the lineage's multiplicity on request."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from mmengine.optim import (
    DefaultOptimWrapperConstructor,
    OptimWrapperDict,
    build_optim_wrapper,
)
from torch import nn
from torch.optim import SGD

from sfda_bench.errors import BenchError
from sfda_bench.registry import OPTIM_WRAPPER_CONSTRUCTORS


def lineage_multiplicity(name: str) -> int:
    """How often the AdaptSegNet / ADVENT code lists a backbone parameter in its SGD group.

    Its generator walks every sub-module of the stem and of each stage and yields that module's
    parameters recursively, so a parameter appears once for each module that holds it: the
    convolutions of a block 3 times, those of a projection 4 times, the stem once.

    Args:
        name: Full parameter name in a stage (``backbone.layer1`` ...) of a ResNet; others count
            once, as in the code's VGG.
    """
    inside = re.search(r'(?:^|\.)backbone\.(layer\d+\..+)$', name)
    return inside.group(1).count('.') if inside else 1


class RepeatedSGD(SGD):
    """SGD that goes through a group's parameters ``group['repeat']`` times a step.

    Only for the step are they listed so often: a gradient scaler or a clipping of gradients that
    walks the groups would else treat each gradient several times.
    """

    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """One step, see :class:`torch.optim.SGD`."""
        once = [group['params'] for group in self.param_groups]
        try:
            for group in self.param_groups:
                group['params'] = group['params'] * group.get('repeat', 1)
            return super().step(closure)
        finally:
            for group, params in zip(self.param_groups, once, strict=True):
                group['params'] = params


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class RepeatOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """mmengine's constructor with ``paramwise_cfg['backbone_repeat']``.

    * 1 (default): every parameter is updated once a step.
    * 3: faithful to the lineage, see :func:`lineage_multiplicity`. Each listing is a full update
      with the same gradient and a shared momentum buffer, so the printed backbone rate acts about
      three times as large. Needs SGD, which becomes :class:`RepeatedSGD` with ``foreach=False``:
      the fused form gives another trajectory. As in current PyTorch, the listings of the very
      first step start from separate buffers.

    ``custom_keys=dict(backbone=dict(lr_mult=3))`` is the approximation without duplicates.

    Source: specs of IAPC (trap 3b, case G); PyTorch issue 40967.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        paramwise_cfg = dict(paramwise_cfg or {})
        self.backbone_repeat = int(paramwise_cfg.pop('backbone_repeat', 1))
        if self.backbone_repeat not in (1, 3):
            raise BenchError(
                f'backbone_repeat={self.backbone_repeat}',
                '1 (each parameter once) or 3 (the multiplicity of the AdaptSegNet line)',
                'for another factor give custom_keys=dict(backbone=dict(lr_mult=...))',
            )
        super().__init__(optim_wrapper_cfg, paramwise_cfg)
        if self.backbone_repeat == 3:
            kind = self.optimizer_cfg.get('type')
            if kind != 'SGD':
                raise BenchError(
                    f'backbone_repeat=3 with {kind}', 'SGD, the optimiser of that line'
                )
            self.optimizer_cfg.update(type=RepeatedSGD, foreach=False)
            # without groups of its own mmengine would hand over model.parameters() unseen
            self.paramwise_cfg.setdefault('bypass_duplicate', True)

    def add_params(
        self, params: list[dict], module: nn.Module, prefix: str = '', **kwargs: Any
    ) -> None:
        """Collect one group a parameter; at the top level, say how often it is stepped."""
        super().add_params(params, module, prefix=prefix, **kwargs)
        if prefix or self.backbone_repeat == 1:
            return
        names = {id(p): name for name, p in module.named_parameters()}
        for group in params:
            (parameter,) = group['params']
            if parameter.requires_grad:
                group['repeat'] = lineage_multiplicity(names[id(parameter)])


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class SubmoduleOptimWrapperConstructor:
    """One optimiser wrapper for each named child of the model.

    Args:
        optim_wrapper_cfg: ``{child: optim_wrapper config}``; each may have its own
            ``paramwise_cfg``, ``constructor``, ``accumulative_counts`` or AMP type.
        paramwise_cfg: Not used; give it inside.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        if paramwise_cfg:
            raise BenchError('paramwise_cfg beside the children', 'inside the config of a child')
        self.configs = {name: dict(config) for name, config in optim_wrapper_cfg.items()}

    def __call__(self, model: nn.Module) -> OptimWrapperDict:
        """Build the wrappers."""
        model = getattr(model, 'module', model)
        children = dict(model.named_children())
        unknown = sorted(set(self.configs) - set(children))
        if unknown:
            raise BenchError(f'an optimiser for {", ".join(unknown)}', f'of {sorted(children)}')
        wrappers = {
            name: build_optim_wrapper(children[name], config)
            for name, config in self.configs.items()
        }
        return OptimWrapperDict(**wrappers)
