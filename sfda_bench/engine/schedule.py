"""Learning-rate schedules that mmengine's own cannot express."""

from __future__ import annotations

from typing import Any

from mmengine.optim.scheduler.lr_scheduler import LRSchedulerMixin
from mmengine.optim.scheduler.param_scheduler import _ParamScheduler

from sfda_bench.registry import PARAM_SCHEDULERS


def warmup_poly(
    step: int, warmup: int = 5000, start: float = 0.1, horizon: int = 100_000, power: float = 0.9
) -> float:
    """Factor on the learning rate: linear up to ``warmup``, then poly counted from step 0.

    The poly branch is not offset, so the rate drops where the two meet (IAPC, code
    ``utils/tool.py:adjust_learning_rate``).

    Args:
        step: Iterations done.
        warmup: Iterations of the linear part, from ``start`` towards 1.
        start: First factor.
        horizon: Iteration at which the poly part would reach 0.
        power: Its exponent.
    """
    if step < warmup:
        return start + (1.0 - start) * step / warmup
    return max(0.0, 1.0 - step / horizon) ** power


@PARAM_SCHEDULERS.register_module()
class WarmupPolyLR(LRSchedulerMixin, _ParamScheduler):
    """:func:`warmup_poly` times the base rates, in closed form.

    Args:
        optimizer: Optimiser or its wrapper.
        warmup: See :func:`warmup_poly`.
        start: See :func:`warmup_poly`.
        horizon: See :func:`warmup_poly`.
        power: See :func:`warmup_poly`.
        **kwargs: As for mmengine's schedulers.
    """

    def __init__(
        self,
        optimizer: Any,
        *args: Any,
        warmup: int = 5000,
        start: float = 0.1,
        horizon: int = 100_000,
        power: float = 0.9,
        **kwargs: Any,
    ) -> None:
        self.warmup, self.start, self.horizon, self.power = warmup, start, horizon, power
        super().__init__(optimizer, *args, **kwargs)

    def _get_value(self) -> list[float]:
        factor = warmup_poly(self.last_step, self.warmup, self.start, self.horizon, self.power)
        return [base * factor for base in self.base_values]
