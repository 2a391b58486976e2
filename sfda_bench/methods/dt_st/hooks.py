"""DT-ST's periodic work: the teacher's update when it pays (DTU).

Source: DT-ST (CVPR 2023), code ``train_TCR_DTU.py``: a check at every third iteration from the
ninth on, a majority of the batches stored since the last update, forced after thirty.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from sfda_bench.adapt.hooks import unwrapped
from sfda_bench.adapt.mean_teacher import MeanTeacherHook, update_average
from sfda_bench.errors import BenchError, require_known
from sfda_bench.methods.dt_st.scores import draw_positions, score_of
from sfda_bench.registry import HOOKS


@dataclass
class Scored:
    """A batch and what the student scored on it when it was met.

    Attributes:
        images: (N, 3, H, W) as loaded, on the host.
        paths: Of the images.
        positions: Of the score, on the device.
        score: A scalar on the device.
    """

    images: Tensor
    paths: list[str]
    positions: Tensor
    score: Tensor


def is_due(stored: int, first: int = 9, every: int = 3) -> bool:
    """Whether the stored batches are compared now."""
    return stored >= first and (stored - first) % every == 0


@HOOKS.register_module()
class DynamicTeacherHook(MeanTeacherHook):
    """Average the teacher when the student scores higher than before on most stored batches.

    Before an iteration the student scores the batch's whole images (branch ``teacher``, or a plain
    batch), which are kept. After it, when due, all kept ones are scored anew; the teacher's
    parameters are averaged and the batches let go if more than ``majority`` of them rose, or there
    are more than ``longest``. The comparison is read by the host, at due iterations only. A resumed
    run reads the kept images again, from the paths in the checkpoint. A run that ends before its
    first update averages at its end.

    Args:
        momentum: Weight of the old teacher.
        interval: Iterations between two updates, without ``dynamic``.
        dynamic: Whether updates depend on the scores.
        score: ``'snd'`` or ``'ent'``, see :mod:`~sfda_bench.methods.dt_st.scores`.
        points: Positions of the score, from the whole batch.
        first: Stored batches at the first comparison.
        every: Iterations between two comparisons.
        longest: Stored batches above which the teacher is averaged at the next comparison.
        majority: Share of the batches that must have risen.
    """

    def __init__(
        self,
        momentum: float = 0.99,
        interval: int = 12,
        dynamic: bool = True,
        score: Literal['snd', 'ent'] = 'snd',
        points: int = 100,
        first: int = 9,
        every: int = 3,
        longest: int = 30,
        majority: float = 0.5,
    ) -> None:
        super().__init__(momentum=momentum, interval=interval, buffers='skip')
        if first < 1 or every < 1:
            raise BenchError(f'comparisons from {first}, every {every}', '1 or more')
        self.score = require_known('score', score, ('snd', 'ent'))
        self.dynamic, self.points, self.majority = dynamic, points, majority
        self.first, self.every, self.longest = first, every, longest
        self.stored: list[Scored] = []
        self.pending: list[dict[str, Any]] = []
        self.updates = 0

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Copy the student at the first iteration; score the batch."""
        if runner.iter == 0:
            for teacher, student in self.pairs(runner):
                update_average(teacher, student, 0.0, 'copy')
        if not self.dynamic:
            return
        self._take_up(runner)
        images, paths = whole_images(data_batch)
        if images is None:
            return
        logits = self.scored_logits(runner, images)
        drawn = draw_positions(len(logits) * logits[0, 0].numel(), self.points)
        positions = drawn.to(logits.device, non_blocking=True)
        score = score_of(logits, positions, self.score)
        self.stored.append(Scored(images, paths, positions, score))

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Compare and update."""
        if not self.dynamic:
            if runner.iter % self.interval == 0:
                self.update(runner)
            return
        number = len(self.stored)
        if not is_due(number, self.first, self.every):
            return
        if number > self.longest or self.has_risen(runner):
            self.update(runner)

    def after_train(self, runner: Any) -> None:
        """Average once in a run that is too short for it."""
        if not self.updates:
            self.update(runner)

    def has_risen(self, runner: Any) -> bool:
        """Whether most stored batches score higher now."""
        new = [
            score_of(self.scored_logits(runner, one.images), one.positions, self.score)
            for one in self.stored
        ]
        old = torch.stack([one.score for one in self.stored])
        share = (torch.stack(new) > old.to(new[0])).float().mean()
        return bool(share > self.majority)

    def update(self, runner: Any) -> None:
        """Average the parameters, forget the batches."""
        for teacher, student in self.pairs(runner):
            update_average(teacher, student, self.momentum, 'skip')
        self.stored = []
        self.updates += 1

    def pairs(self, runner: Any) -> list[tuple[nn.Module, nn.Module]]:
        """(teacher, student)."""
        model = unwrapped(runner)
        return model.averaged() if self.teacher is None else [(self.teacher, model)]

    @torch.no_grad()
    def scored_logits(self, runner: Any, images: Tensor) -> Tensor:
        """The student's logits on images as loaded, at the head's resolution."""
        model = unwrapped(runner)
        student: Any = self.pairs(runner)[0][1]
        batch = {'inputs': list(images), 'data_samples': None}
        inputs = model.data_preprocessor(batch, False)['inputs']
        if runner.optim_wrapper is None:
            return student.decode_head(student.extract_feat(inputs))
        with runner.optim_wrapper.optim_context(model):
            return student.decode_head(student.extract_feat(inputs))

    # --- checkpoints ----------------------------------------------------------------------------

    def before_save_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Add the stored scores and the paths of their images."""
        super().before_save_checkpoint(runner, checkpoint)
        stored = [
            {'paths': one.paths, 'positions': one.positions.cpu(), 'score': one.score.cpu()}
            for one in self.stored
        ]
        checkpoint['dynamic_teacher'] = {'stored': stored, 'updates': self.updates}

    def after_load_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Note them; the images are read when the first iteration begins."""
        super().after_load_checkpoint(runner, checkpoint)
        state = checkpoint.get('dynamic_teacher', {'stored': [], 'updates': 0})
        self.pending, self.updates = list(state['stored']), int(state['updates'])

    def _take_up(self, runner: Any) -> None:
        if not self.pending:
            return
        view, device = whole_view(runner), next(unwrapped(runner).parameters()).device
        for one in self.pending:
            images = np.stack([view(path).transpose(2, 0, 1) for path in one['paths']])
            self.stored.append(
                Scored(
                    torch.from_numpy(np.ascontiguousarray(images)),
                    list(one['paths']),
                    one['positions'].to(device),
                    one['score'].to(device),
                )
            )
        self.pending = []


def whole_images(batch: Any) -> tuple[Tensor | None, list[str]]:
    """Images of the branch ``teacher``, or of a plain batch, as loaded; and their paths."""
    if batch is None:
        return None, []
    part = batch if 'inputs' in batch else {'inputs': batch, 'data_samples': None}
    inputs, samples = part['inputs'], part.get('data_samples')
    if isinstance(inputs, dict):
        if 'teacher' not in inputs:
            return None, []
        inputs = inputs['teacher']
        samples = samples['teacher'] if isinstance(samples, dict) else samples
    if isinstance(inputs, dict):
        inputs, samples = inputs['inputs'], inputs.get('data_samples')
    # a copy: the loader's memory is shared with its workers
    images = inputs.clone() if isinstance(inputs, Tensor) else torch.stack(list(inputs))
    return images, [str(getattr(sample, 'img_path', '')) for sample in samples or []]


def whole_view(runner: Any) -> Any:
    """How the stage's pipeline makes a teacher's view of a file.

    Raises:
        BenchError: It has no ``TeacherStudentViews``.
    """
    for step in runner.train_dataloader.dataset.pipeline.transforms:
        if hasattr(step, 'teacher_view'):
            return step.teacher_view
    raise BenchError(
        'a pipeline without TeacherStudentViews', "pack=dict(type='TeacherStudentViews', ...)"
    )
