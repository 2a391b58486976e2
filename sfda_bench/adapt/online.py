"""The base of methods that adapt while they predict: one stream of images, no labels, no way back.

What such methods share is an option here: when the prediction is made, when everything is reset, an
average of the weights that teaches or predicts, predictions averaged over views, and weights that
return to the source's at random (both CoTTA's, arXiv 2203.13591). All are off by default.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import torch
from mmengine.optim import OptimWrapper
from mmengine.structures import PixelData
from torch import Tensor, nn

from sfda_bench.adapt.adapter import Adapter
from sfda_bench.adapt.averaging import AugmentedAverage, probabilities
from sfda_bench.adapt.mean_teacher import Buffers, teacher_momentum, update_average
from sfda_bench.adapt.norm import quiet, set_norm_mode
from sfda_bench.errors import BenchError, require_known
from sfda_bench.registry import MODELS

ResetOn = Literal['never', 'image', 'condition']


@torch.no_grad()
def restore_at_random(
    parameters: Iterable[Tensor],
    source: Iterable[Tensor],
    probability: float,
    generator: torch.Generator,
) -> None:
    """Set each element of ``parameters`` back to ``source`` with a probability, in place.

    Args:
        parameters: Tensors on the generator's device.
        source: As many, of the same shapes.
        probability: 0 changes nothing, 1 restores all.
        generator: Draws one number an element.
    """
    for own, origin in zip(parameters, source, strict=True):
        drawn = torch.rand(own.shape, generator=generator, device=own.device)
        own.copy_(torch.where(drawn < probability, origin, own))


@MODELS.register_module()
class OnlineAdapter(Adapter):
    """Predict and adapt image by image; a method overrides :meth:`objective`, or :meth:`adapt`.

    The loop calls :meth:`configure` once, then :meth:`adapt_step` for each batch; averaging the
    teacher and restoring weights, hooks elsewhere, follow each step: there is no training loop.

    Args:
        segmentor: See :class:`~sfda_bench.adapt.adapter.Adapter`.
        predict: ``'before'``: a batch is predicted with the weights that it finds (by the forward
            pass that it is adapted with, if the student predicts); ``'after'``: with those that
            it leaves.
        reset_on: Return to the source model ``'never'``, before every ``'image'``, or where the
            ``'condition'`` of the images changes (which the method is then told).
        steps: Updates a batch.
        predict_on: The network that predicts.
        teacher: ``dict(momentum=0.999, warmup='none', buffers='copy')`` keeps an average of the
            student's weights, updated after each step; see
            :mod:`sfda_bench.adapt.mean_teacher`. ``None``: no teacher.
        averaging: Arguments of :class:`~sfda_bench.adapt.averaging.AugmentedAverage`; its
            threshold is compared with the source model's confidence. ``None``: one plain view.
        restore: Probability with which an element of the trained parameters returns to the
            source's value after a step.
        norm_mode: Batch-norm of student and teacher, see
            :func:`~sfda_bench.adapt.norm.set_norm_mode`.
        dropout: Whether dropout and drop-path are active.
        upsample_steps: Whether predictions are enlarged to the label's size at once (1) or by way
            of the input's size (2), as the inference protocol says.
        **kwargs: See :class:`~sfda_bench.adapt.adapter.Adapter`.
    """

    frozen = ('source',)
    teacher: Any
    source: Any

    def __init__(
        self,
        segmentor: dict[str, Any],
        predict: Literal['before', 'after'] = 'before',
        reset_on: ResetOn = 'never',
        steps: int = 1,
        predict_on: Literal['student', 'teacher'] = 'student',
        teacher: dict[str, Any] | None = None,
        averaging: dict[str, Any] | None = None,
        restore: float = 0.0,
        norm_mode: Literal['train', 'eval', 'batch'] = 'batch',
        dropout: bool = False,
        upsample_steps: Literal[1, 2] = 2,
        **kwargs: Any,
    ) -> None:
        super().__init__(segmentor, norm_mode=norm_mode, dropout=dropout, **kwargs)
        self.upsample_steps = upsample_steps
        self.predict_when = require_known('moment to predict', predict, ('before', 'after'))
        self.reset_on = require_known('reset', reset_on, ('never', 'image', 'condition'))
        self.predict_on = require_known('network', predict_on, ('student', 'teacher'))
        self.steps, self.restore = steps, restore
        self.teacher_options = None if teacher is None else _teacher_options(**teacher)
        self.averaging = None if averaging is None else AugmentedAverage(**averaging)
        self._check()
        self.loss_value: Tensor | None = None
        self._condition: str | None = None

    def _check(self) -> None:
        if self.predict_on == 'teacher' and self.teacher_options is None:
            raise BenchError('predict_on teacher without a teacher', 'teacher=dict(momentum=...)')
        if not 0.0 <= self.restore <= 1.0:
            raise BenchError(f'restore {self.restore}', 'a probability, 0 to 1')
        if self.steps < 1:
            raise BenchError(f'{self.steps} steps an image', '1 or more')
        if self.student.test_cfg.get('mode', 'whole') != 'whole':
            raise BenchError('a network that predicts in windows', "test_cfg=dict(mode='whole')")

    # --- what a method overrides ----------------------------------------------------------------

    def objective(self, images: Tensor, logits: Tensor) -> dict[str, Tensor]:
        """Losses of one step.

        Args:
            images: (N, 3, H, W), normalised.
            logits: The student's on them (N, K, h, w), at the head's resolution.

        Returns:
            Named values; those with ``loss`` in their name are summed and minimised. Empty: no
            step is taken for this batch.
        """
        raise NotImplementedError(f'{type(self).__name__} must define objective(images, logits)')

    def adapt(self, images: Tensor, optim_wrapper: OptimWrapper | None) -> Tensor:
        """Take one step and return the student's logits from before it.

        Without an optimiser there is only the forward pass.
        """
        if optim_wrapper is None:
            with torch.no_grad():
                return self.logits(images)
        with optim_wrapper.optim_context(self):
            logits = self.logits(images)
            losses = self.objective(images, logits)
        if losses:
            loss, _ = self.parse_losses(losses)
            optim_wrapper.update_params(loss)
            self.loss_value = loss.detach()
            self._after_step()
        return logits.detach()

    # --- the verbs of the loop ------------------------------------------------------------------

    def configure(self, optim_wrapper: OptimWrapper | None = None, seed: int = 0) -> None:
        """Note the state that :meth:`reset` returns to; call it once the weights are loaded.

        Args:
            optim_wrapper: The optimiser; its state is reset with the weights.
            seed: Of all that is drawn at random, from here and from every reset on.
        """
        self.optim_wrapper, self.seed = optim_wrapper, seed
        if self.teacher_options is not None:
            self.teacher = copy.deepcopy(self.student).requires_grad_(False)
        if self.averaging is not None and self.averaging.threshold is not None:
            self.source = copy.deepcopy(self.student).requires_grad_(False)
        self._initial = [value.detach().clone() for value in self._state()]
        self._trained = [p for p in self.student.parameters() if p.requires_grad]
        self._origin = [p.detach().clone() for p in self._trained] if self.restore else []
        self._optim_state = copy.deepcopy(optim_wrapper.state_dict()) if optim_wrapper else {}
        self.generator = torch.Generator(device=self._initial[0].device)
        self.reset()
        self.train()

    def _state(self) -> list[Tensor]:
        return list(self.student.state_dict(keep_vars=True).values())

    @torch.no_grad()
    def reset(self) -> None:
        """Return weights, buffers, teacher, optimiser and random numbers to the beginning."""
        for value, initial in zip(self._state(), self._initial, strict=True):
            value.copy_(initial)
        if self.teacher_options is not None:
            update_average(self.teacher, self.student, 0.0)
        if self.optim_wrapper is not None:
            self.optim_wrapper.zero_grad()
            self.optim_wrapper.load_state_dict(copy.deepcopy(self._optim_state))
        self.generator.manual_seed(self.seed)
        torch.manual_seed(self.seed)
        self.taken = 0

    def adapt_step(self, data: dict, optim_wrapper: OptimWrapper | None = None) -> list:
        """Predict one batch and adapt to it, in the order that ``predict`` says.

        Args:
            data: A batch of the unlabelled stream, as collated.
            optim_wrapper: The one given to :meth:`configure`.

        Returns:
            The samples with ``pred_sem_seg`` at the size of the file.

        Raises:
            BenchError: The samples carry labels.
        """
        self.train()
        batch = self.data_preprocessor(data, False)
        images, samples = batch['inputs'], batch['data_samples']
        if any('gt_sem_seg' in sample for sample in samples):
            raise BenchError('a stream with labels', 'images alone: labels are read after it ended')
        self._reset_if_due(samples)
        before = self.predict_when == 'before'
        # The logits that the first step starts from may already be the prediction.
        plain = self.predict_on == 'student' and self.averaging is None
        maps = self.predicted(images) if before and not plain else None
        for _ in range(self.steps):
            logits = self.adapt(images, optim_wrapper)
            maps = logits if before and maps is None else maps
        return self.finished(self.predicted(images) if maps is None else maps, samples)

    def _reset_if_due(self, samples: Sequence[Any]) -> None:
        if self.reset_on == 'never':
            return
        if len(samples) > 1:
            raise BenchError(
                f'a batch of {len(samples)} images with reset_on={self.reset_on!r}', 'batch_size=1'
            )
        condition = samples[0].metainfo.get('condition', '')
        if self.reset_on == 'image' or condition != self._condition:
            self.reset()
        self._condition = condition

    # --- parts ----------------------------------------------------------------------------------

    @torch.no_grad()
    def predicted(self, images: Tensor) -> Tensor:
        """Logits of the predicting network, or its averaged probabilities."""
        network = self.teacher if self.predict_on == 'teacher' else self.student
        if self.averaging is None:
            return self.logits_of(network, images)
        confidence = None
        if self.averaging.threshold is not None:
            anchor = probabilities(
                lambda x: self.logits_of(self.source, x), images, 1.0, False, self.align_corners
            )
            confidence = anchor.amax(dim=1)
        return self.averaging(
            lambda x: self.logits_of(network, x), images, self.align_corners, confidence
        )

    @torch.no_grad()
    def finished(self, maps: Tensor, samples: list) -> list:
        """The samples with the arg-max of ``maps`` (N, K, h, w), resized as the protocol says."""
        if self.upsample_steps == 1:
            for sample, scores in zip(samples, maps.float().split(1), strict=True):
                best = self.resized(scores, sample.ori_shape[:2])[0].argmax(dim=0, keepdim=True)
                sample.set_data({'pred_sem_seg': PixelData(data=best)})
            return samples
        metas = [sample.metainfo for sample in samples]
        maps = self.student.decode_head.predict_by_feat(maps.float(), metas)
        self.student.postprocess_result(maps, samples)
        for sample in samples:
            del sample.seg_logits
        return samples

    @torch.no_grad()
    def _after_step(self) -> None:
        """Average the teacher, then restore."""
        if self.teacher_options is not None:
            momentum, warmup, buffers = self.teacher_options
            self.taken += 1
            momentum = teacher_momentum(self.taken, momentum, warmup)
            update_average(self.teacher, self.student, momentum, buffers)
        if self.restore:
            restore_at_random(self._trained, self._origin, self.restore, self.generator)

    def train(self, mode: bool = True) -> OnlineAdapter:
        """Set the mode in which student and teacher adapt; the source model stays as it was."""
        super().train(mode)
        for name in ('student', 'teacher') if mode else ():
            network = getattr(self, name, None)
            if isinstance(network, nn.Module):
                set_norm_mode(network, self.norm_mode)
                if not self.dropout:
                    quiet(network)
        return self

    def export_module(self) -> nn.Module:
        """The network that predicts."""
        return self.teacher if self.predict_on == 'teacher' else self.student


def _teacher_options(
    momentum: float = 0.999, warmup: Literal['none', 'dacs'] = 'none', buffers: Buffers = 'copy'
) -> tuple[float, Literal['none', 'dacs'], Buffers]:
    if not 0.0 <= momentum <= 1.0:
        raise BenchError(f'teacher momentum {momentum}', '0 to 1')
    require_known('warm-up', warmup, ('none', 'dacs'))
    require_known('buffer policy', buffers, ('copy', 'ema', 'skip'))
    return momentum, warmup, buffers
