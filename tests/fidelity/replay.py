"""An adapter as the ``paper`` profile builds it, driven through given views.

Only the data pipeline is left out: the views that it would make are given instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from mmengine.config import ConfigDict
from mmengine.optim import OptimWrapperDict, build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS, init_default_scope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from sfda_bench.adapt.hooks import Driver
from sfda_bench.plan import configs as compose
from sfda_bench.plan.method import Method, merge
from sfda_bench.registry import MODELS


class GivenViews(nn.Module):
    """Stands where the preprocessor was: the views are normalised already."""

    def __init__(self, preprocessor: nn.Module) -> None:
        super().__init__()
        self.inner = getattr(preprocessor, 'inner', preprocessor)

    def forward(self, data: dict, training: bool = False) -> dict:
        """The batch as it is."""
        return data


def batch(views: Mapping[str, Tensor]) -> dict[str, Any]:
    """Views as an adapter's training step gets them.

    Args:
        views: Images (N, 3, H, W) by branch, labels (N, H, W) as ``<branch>_label``; the branch
            ``image`` makes a plain batch.
    """
    inputs, samples = {}, {}
    for name, images in views.items():
        if name.endswith('_label'):
            continue
        labels = views.get(f'{name}_label')
        inputs[name] = images
        samples[name] = [] if labels is None else [_sample(label) for label in labels]
    if set(inputs) == {'image'}:
        return {'inputs': inputs['image'], 'data_samples': samples['image']}
    return {'inputs': inputs, 'data_samples': samples}


def _sample(label: Tensor) -> SegDataSample:
    sample = SegDataSample()
    sample.gt_sem_seg = PixelData(data=label[None])
    return sample


def spec_of(
    method: str, stage: str, task: str, params: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """A stage of a method as the paper profile has it for a task."""
    stages = Method(method).stages('paper', task, dict(params or {}))
    return next(spec for spec in stages if spec['name'] == stage)


class Replay:
    """A training stage outside of a runner: the same model, hooks, optimisers and schedules.

    Args:
        spec: The stage, see :func:`spec_of`; without an adapter the segmentor itself is trained.
        segmentor: Config of the network.
        changes: Merged into the adapter's config.
        start: Iteration to begin at: the schedules are moved there, and the hooks count from it.
        dtype: Of the weights: that of the recording.
    """

    def __init__(
        self,
        spec: Mapping[str, Any],
        segmentor: Mapping[str, Any],
        changes: Mapping[str, Any] | None = None,
        start: int = 0,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        init_default_scope('sfda_bench')
        model = dict(segmentor)
        if 'adapter' in spec:
            model = {**spec['adapter'], 'segmentor': segmentor}
        model = merge(model, changes or {})
        self.adapter: Any = MODELS.build(model).to(dtype)
        self.adapter.data_preprocessor = GivenViews(self.adapter.data_preprocessor)
        self.optim: Any = None
        if 'optim_wrapper' in spec:
            self.optim = build_optim_wrapper(self.adapter, ConfigDict(spec['optim_wrapper']))
        several = isinstance(self.optim, OptimWrapperDict)
        single = {} if self.optim is None else {'student': self.optim}
        self.wrappers = dict(self.optim.items()) if several else single
        self.norms: dict[str, float] = {}
        for name, wrapper in self.wrappers.items():
            wrapper.optimizer.register_step_pre_hook(self._note_gradient(name))
        self.schedulers = [
            PARAM_SCHEDULERS.build(dict(config), default_args={'optimizer': wrapper})
            for wrapper in self.wrappers.values()
            for config in compose.schedulers(spec.get('param_scheduler', []), spec.get('iters', 0))
        ]
        self._move_to(start)
        self.driver = Driver(self.adapter, spec.get('hooks', {}), start)

    def _move_to(self, start: int) -> None:
        """Move the schedules to an iteration, on one group of each rate: there are hundreds."""
        for optimizer in [wrapper.optimizer for wrapper in self.wrappers.values()]:
            groups, few = optimizer.param_groups, {}
            for index, group in enumerate(groups):
                few.setdefault(_rates(group), index)
            own = [s for s in self.schedulers if _torch(s.optimizer) is optimizer]
            bases = [scheduler.base_values for scheduler in own]
            optimizer.param_groups = [dict(groups[index]) for index in few.values()]
            for scheduler, base in zip(own, bases, strict=True):
                scheduler.base_values = [*(base[i] for i in few.values()), *base[len(groups) :]]
            for _ in range(start):
                for scheduler in own:
                    scheduler.step()
            moved = dict(zip(few, optimizer.param_groups, strict=True))
            for group in groups:
                group['lr'] = moved[_rates(group)]['lr']
            optimizer.param_groups = groups
            for scheduler, base in zip(own, bases, strict=True):
                scheduler.base_values = base

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Load a plain checkpoint of the segmentor, as a stage loads its parent's."""
        self.adapter.load_state_dict(dict(state), strict=False)

    def _note_gradient(self, name: str) -> Callable[..., None]:
        def note(optimizer: Optimizer, *_: Any) -> None:
            # each parameter once, however often it is listed for the step
            found = {id(p): p.grad for g in optimizer.param_groups for p in g['params']}
            squares = [(x.double() ** 2).sum() for x in found.values() if x is not None]
            self.norms[name] = float(torch.stack(squares).sum().sqrt())

        return note

    def rates(self, name: str = 'student') -> list[float]:
        """The distinct learning rates of an optimiser, from the smallest."""
        groups = self.wrappers[name].optimizer.param_groups
        return sorted({group['lr'] for group in groups})

    def step(self, views: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """One iteration, as the training loop does it; returns what the adapter logs."""
        self.adapter.train()
        log = self.driver.train_step(batch(views), self.optim)
        self.advance()
        return log

    def advance(self) -> None:
        """Move every schedule one iteration on."""
        for scheduler in self.schedulers:
            scheduler.step()


def _torch(optimizer: Any) -> Optimizer:
    """The optimizer itself, without mmengine's wrapper."""
    return getattr(optimizer, 'optimizer', optimizer)


def _rates(group: Mapping[str, Any]) -> tuple[float, ...]:
    """What a group's rate follows from: now, which may be one for all, and without schedules."""
    return group['lr'], group.get('initial_lr', group['lr'])


def factors(schedules: Sequence[Mapping[str, Any]], iters: int, at: Sequence[int]) -> list[float]:
    """Factor on the rate at iterations, by the schedules' own steps.

    Args:
        schedules: Configs of schedulers; their ends are that of a stage where they leave them open.
        iters: Iterations of the stage.
        at: Ascending iterations.
    """
    optimizer = SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedulers = [
        PARAM_SCHEDULERS.build(dict(config), default_args={'optimizer': optimizer})
        for config in compose.schedulers(schedules, iters)
    ]
    found = []
    for iteration in range(max(at) + 1):
        if iteration in at:
            found.append(optimizer.param_groups[0]['lr'])
        for scheduler in schedulers:
            scheduler.step()
    return found
