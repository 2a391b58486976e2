"""The teacher of boundary enhancement, whose first update is a copy of the student's first step."""

from __future__ import annotations

from typing import Any

from sfda_bench.adapt.hooks import unwrapped
from sfda_bench.adapt.mean_teacher import MeanTeacherHook, teacher_momentum, update_average
from sfda_bench.registry import HOOKS


@HOOKS.register_module()
class LateTeacherHook(MeanTeacherHook):
    """A :class:`~sfda_bench.adapt.mean_teacher.MeanTeacherHook` that counts from 0 updates.

    The n-th update follows the n-th step and has the weight of n - 1 updates before it; with the
    warm-up, the teacher after n steps is the mean of the student after steps 1 to n, and the
    weights it started from do not count. Arguments as there.
    """

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Copy at the start, then average what the last step left."""
        step = runner.iter
        model = unwrapped(runner)
        pairs = model.averaged() if self.teacher is None else [(self.teacher, model)]
        for teacher, student in pairs:
            if step == 0:
                update_average(teacher, student, 0.0, 'copy')
            elif step % self.interval == 0:
                momentum = teacher_momentum(step // self.interval - 1, self.momentum, self.warmup)
                update_average(teacher, student, momentum, self.buffers)
