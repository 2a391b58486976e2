"""Hooks of training stages, and how they are driven where there is no runner."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from sfda_bench.registry import HOOKS


def unwrapped(runner: Any) -> Any:
    """The runner's model without what distributes it."""
    model = runner.model
    return model.module if is_model_wrapper(model) else model


class Driver:
    """Iterations of a model with its hooks and without a runner, for benchmarks and tests.

    Args:
        model: An adapter, or any mmengine model.
        hooks: Configs of hooks, as a stage states them: by name, or a list.
        iteration: The first one's index.
    """

    def __init__(
        self,
        model: nn.Module,
        hooks: Mapping[str, Mapping[str, Any]] | Iterable[Mapping[str, Any]] = (),
        iteration: int = 0,
    ) -> None:
        configs = hooks.values() if isinstance(hooks, Mapping) else hooks
        self.hooks: list[Hook] = [HOOKS.build(dict(config)) for config in configs]
        self.runner: Any = SimpleNamespace(model=model, iter=iteration, optim_wrapper=None)
        for hook in self.hooks:
            hook.before_train(self.runner)

    def before(self, data: Any = None) -> None:
        """What precedes an iteration."""
        for hook in self.hooks:
            hook.before_train_iter(self.runner, self.runner.iter, data)

    def after(self, data: Any = None) -> None:
        """What follows an iteration; the next one's index is one higher."""
        for hook in self.hooks:
            hook.after_train_iter(self.runner, self.runner.iter, data)
        self.runner.iter += 1

    def train_step(self, data: Any, optim_wrapper: OptimWrapper) -> dict[str, Tensor]:
        """One iteration: hooks, the model's step, hooks."""
        self.runner.optim_wrapper = optim_wrapper
        self.before(data)
        log = self.runner.model.train_step(data, optim_wrapper)
        self.after(data)
        return log

    def loss(self, inputs: Any, data_samples: Any = None) -> dict[str, Tensor]:
        """Losses of one batch as an iteration computes them; the iteration ends with it."""
        self.before()
        losses = self.runner.model.loss(inputs, data_samples)
        self.after()
        return losses
