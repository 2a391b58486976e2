"""Mean teachers: an average of the student's weights that labels what the student learns from.

Three algorithms go by this name and give different numbers, so every part is an option: DACS and
its descendants ramp the momentum, average parameters only and keep the teacher's batch-norm in
training mode; mmdet leaves buffers at their initial value; others copy or average them.
"""

from __future__ import annotations

import copy
from typing import Any, Literal

import torch
from mmengine.hooks import Hook
from torch import Tensor, nn

from sfda_bench.adapt.adapter import Adapter
from sfda_bench.adapt.hooks import unwrapped
from sfda_bench.adapt.norm import quiet, set_norm_mode
from sfda_bench.adapt.strong import StrongView, input_convention
from sfda_bench.errors import BenchError, require_known
from sfda_bench.registry import HOOKS, MODELS

Warmup = Literal['none', 'dacs']
Buffers = Literal['copy', 'ema', 'skip']
TeacherMode = Literal['eval', 'train', 'batch']


def teacher_momentum(step: int, momentum: float = 0.999, warmup: Warmup = 'none') -> float:
    """Weight of the old teacher at an update.

    Args:
        step: Iterations done before this update.
        momentum: Its final value.
        warmup: ``'dacs'``: ``min(1 - 1 / (step + 1), momentum)``, so that the first updates are a
            plain average; ``'none'``: constant.
    """
    return min(1.0 - 1.0 / (step + 1), momentum) if warmup == 'dacs' else momentum


@torch.no_grad()
def update_average(
    teacher: nn.Module, student: nn.Module, momentum: float, buffers: Buffers = 'copy'
) -> None:
    """``teacher <- momentum * teacher + (1 - momentum) * student``, in place.

    Args:
        teacher: Has the student's structure.
        student: Is not changed.
        momentum: 0 copies the student.
        buffers: Running statistics and the like: ``'copy'`` them, average them (``'ema'``; those
            that are not floating point are copied), or leave the teacher's (``'skip'``).
    """
    mine: list[Tensor] = list(teacher.parameters())
    if mine:
        theirs = [parameter.detach() for parameter in student.parameters()]
        torch._foreach_lerp_(mine, theirs, 1.0 - momentum)
    if buffers == 'skip':
        return
    for own, other in zip(teacher.buffers(), student.buffers(), strict=True):
        if buffers == 'ema' and own.is_floating_point():
            own.lerp_(other, 1.0 - momentum)
        else:
            own.copy_(other)


@HOOKS.register_module()
class MeanTeacherHook(Hook):
    """Update the teacher before every iteration: a copy at the first, an average at the later ones.

    The index is the runner's, so a resumed run goes on as it would have. A model that has no
    ``averaged()`` gets a teacher of its own, which checkpoints carry as ``teacher_state_dict``.

    Args:
        momentum: See :func:`teacher_momentum` (mmdet's hook of this name counts from the other end:
            its 0.001 is 0.999 here).
        interval: Iterations between two updates.
        warmup: See :func:`teacher_momentum`.
        buffers: See :func:`update_average`.
    """

    priority = 'NORMAL'

    def __init__(
        self,
        momentum: float = 0.999,
        interval: int = 1,
        warmup: Warmup = 'none',
        buffers: Buffers = 'copy',
    ) -> None:
        if not 0.0 <= momentum <= 1.0:
            raise BenchError(f'teacher momentum {momentum}', '0 to 1')
        if interval < 1:
            raise BenchError(f'teacher interval {interval}', '1 or more')
        self.momentum, self.interval = momentum, interval
        self.warmup: Warmup = require_known('warm-up', warmup, ('none', 'dacs'))
        self.buffers: Buffers = require_known('buffer policy', buffers, ('copy', 'ema', 'skip'))
        self.teacher: nn.Module | None = None

    def before_train(self, runner: Any) -> None:
        """Make a teacher for a model that has none."""
        model = unwrapped(runner)
        if not hasattr(model, 'averaged') and self.teacher is None:
            self.teacher = copy.deepcopy(model).eval().requires_grad_(False)

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Copy or average."""
        step = runner.iter
        model = unwrapped(runner)
        pairs = model.averaged() if self.teacher is None else [(self.teacher, model)]
        for teacher, student in pairs:
            if step == 0:
                update_average(teacher, student, 0.0, 'copy')
            elif step % self.interval == 0:
                momentum = teacher_momentum(step // self.interval, self.momentum, self.warmup)
                update_average(teacher, student, momentum, self.buffers)

    def before_save_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Add a teacher of the hook's own."""
        if self.teacher is not None:
            checkpoint['teacher_state_dict'] = self.teacher.state_dict()

    def after_load_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Take it up again."""
        if 'teacher_state_dict' in checkpoint:
            self.before_train(runner)
            if self.teacher is not None:
                self.teacher.load_state_dict(checkpoint['teacher_state_dict'])


@MODELS.register_module()
class MeanTeacherAdapter(Adapter):
    """A student and the average of its weights; a method overrides ``losses(views)``.

    :class:`MeanTeacherHook` updates the teacher before each iteration; then ``losses`` is called.

    Args:
        segmentor: See :class:`~sfda_bench.adapt.adapter.Adapter`.
        teacher_mode: Batch-norm of the teacher: ``'eval'`` (running statistics), ``'train'`` (the
            batch's, updating its own running statistics) or ``'batch'`` (the batch's, leaving
            them). Dropout and drop-path are off in all three.
        predict_on: The network that is exported and scored, ``'student'`` or ``'teacher'``.
        strong: Arguments of :class:`~sfda_bench.adapt.strong.StrongView`.
        **kwargs: See :class:`~sfda_bench.adapt.adapter.Adapter`.
    """

    student_like: tuple[str, ...] = ('student', 'teacher')
    passes = (1, 1)

    def __init__(
        self,
        segmentor: dict[str, Any],
        teacher_mode: TeacherMode = 'eval',
        predict_on: Literal['student', 'teacher'] = 'student',
        strong: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(segmentor, **kwargs)
        self.teacher_mode: TeacherMode = require_known(
            'teacher mode', teacher_mode, ('eval', 'train', 'batch')
        )
        self.predict_on = require_known('network', predict_on, ('student', 'teacher'))
        self.teacher = copy.deepcopy(self.student).requires_grad_(False)
        self.strong_view = StrongView(**(strong or {}))

    # --- the teacher ----------------------------------------------------------------------------

    def averaged(self) -> list[tuple[nn.Module, nn.Module]]:
        """Pairs of (teacher, student) modules that are averaged."""
        return [(self.teacher, self.student)]

    def train(self, mode: bool = True) -> MeanTeacherAdapter:
        """Set training mode and put the teacher back into its own."""
        super().train(mode)
        for teacher, _ in self.averaged() if mode and hasattr(self, 'teacher') else ():
            teacher.train(self.teacher_mode != 'eval')
            if self.teacher_mode != 'eval':
                set_norm_mode(teacher, self.teacher_mode)
                quiet(teacher)
        return self

    @torch.no_grad()
    def teacher_logits(self, images: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        """Teacher logits (N, C, h, w) at the head's resolution, or at ``size`` = (H, W)."""
        return self.logits_of(self.teacher, images, size)

    # --- views ----------------------------------------------------------------------------------

    def strong(self, images: Tensor, switches: tuple[bool, bool] | None = None) -> Tensor:
        """The same pixels under a random change of colour and focus (a new tensor)."""
        mean, std, rgb = input_convention(self.data_preprocessor)
        return self.strong_view(images, mean, std, rgb, switches)

    # --- wiring ---------------------------------------------------------------------------------

    def export_module(self) -> nn.Module:
        """The network that is scored and handed on."""
        return self.teacher if self.predict_on == 'teacher' else self.student
