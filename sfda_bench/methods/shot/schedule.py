"""SHOT's learning rate."""

from __future__ import annotations

from typing import Any

from mmengine.optim.scheduler.lr_scheduler import LRSchedulerMixin
from mmengine.optim.scheduler.param_scheduler import _ParamScheduler

from sfda_bench.registry import PARAM_SCHEDULERS


def inverse_power(share: float, gain: float = 10.0, power: float = 0.75) -> float:
    """Factor ``(1 + gain * share) ** -power`` on the rate, ``share`` of the training being done."""
    return (1.0 + gain * share) ** -power


@PARAM_SCHEDULERS.register_module()
class InversePowerLR(LRSchedulerMixin, _ParamScheduler):
    """:func:`inverse_power` times the base rates, in closed form.

    Iterations are counted from 1, as in SHOT's code: its rate is below the base rate from the
    first on.

    Args:
        optimizer: Optimiser or its wrapper.
        gain: See :func:`inverse_power`.
        power: Likewise.
        part: Which of several equally long stages this is, from 0.
        parts: How many they are; the schedule goes on from one to the next.
        **kwargs: As for mmengine's schedulers.
    """

    def __init__(
        self,
        optimizer: Any,
        *args: Any,
        gain: float = 10.0,
        power: float = 0.75,
        part: int = 0,
        parts: int = 1,
        **kwargs: Any,
    ) -> None:
        self.gain, self.power, self.part, self.parts = gain, power, part, parts
        super().__init__(optimizer, *args, **kwargs)

    def _get_value(self) -> list[float]:
        # as in PolyLR the end is one beyond the last iteration
        iterations = self.end - self.begin - 1
        share = (self.part + (self.last_step + 1) / iterations) / self.parts
        factor = inverse_power(share, self.gain, self.power)
        return [base * factor for base in self.base_values]
