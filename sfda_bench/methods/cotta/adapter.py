"""CoTTA, segmentation form: hard labels of an averaged teacher in many views, restored weights.

Wang, Fink, Van Gool, Dai: Continual Test-Time Domain Adaptation, CVPR 2022, arXiv 2203.13591.

Faithful: labels, loss, optimiser, average and restoration of the segmentation code as its
descendants (BECoTTA, DAT, SVDP) carry it, and their order; windows of the large views.
Deviates: views are made of the network's input, not of the file, see the card.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Literal

import torch
from mmengine.optim import OptimWrapper
from mmengine.structures import PixelData
from torch import Tensor

from sfda_bench.adapt.features import size_of
from sfda_bench.adapt.online import OnlineAdapter
from sfda_bench.errors import BenchError, require_known
from sfda_bench.methods.cotta.views import mixed_labels, view_of, windowed
from sfda_bench.networks.segmentor import Segmentor
from sfda_bench.registry import MODELS


@MODELS.register_module()
class CoTTA(OnlineAdapter):
    """Predict an image with the teacher in all views; its labels then train the student.

    An image:

    1. The teacher's probabilities at the label's size in each view. The label is that of their
       mean; where the source model is sure on the plain view, that of the teacher's plain view.
       It is both the prediction and what is learned.
    2. The student's logits of the plain view, as a whole, enlarged to the label's size; the loss
       ``seg`` (:class:`~sfda_bench.adapt.losses.WeightedCrossEntropyLoss`) over all pixels; a step.
    3. The teacher is averaged, then elements of the student return to the source's values.

    Batch norm uses the running statistics, which never change; nothing is random but step 3.

    Args:
        segmentor: See :class:`~sfda_bench.adapt.adapter.Adapter`.
        scales: Of the views, 1 among them.
        flip: Whether each scale is also seen mirrored. With the scale 1 alone and no mirroring
            there is one view, and the source model is not asked.
        threshold: Of the source model's confidence.
        window: Side in pixels of the windows in which views are predicted; ``None``: whole.
        stride: From one window to the next.
        optimizer_reset: Whether the optimiser begins again where the condition or the round changes
            (``'condition'``, as published), so that the method knows of it, or ``'never'``.
        teacher: See :class:`~sfda_bench.adapt.online.OnlineAdapter`.
        **kwargs: Likewise.
    """

    def __init__(
        self,
        segmentor: dict[str, Any],
        scales: Sequence[float] = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0),
        flip: bool = True,
        threshold: float = 0.69,
        window: int | None = 1024,
        stride: int = 768,
        optimizer_reset: Literal['condition', 'never'] = 'condition',
        teacher: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        teacher = {'momentum': 0.999, 'buffers': 'skip', **(teacher or {})}
        fixed: dict[str, Any] = {'norm_mode': 'eval', 'predict_on': 'teacher', 'teacher': teacher}
        super().__init__(segmentor, **{**fixed, **kwargs})
        if 1.0 not in scales:
            raise BenchError(f'scales {list(scales)}', 'scales with 1, the plain view, among them')
        if self.averaging is not None:
            raise BenchError('CoTTA with averaging', 'scales, flip and threshold')
        if self.predict_when == 'after' or self.predict_on != 'teacher':
            raise BenchError(
                f'CoTTA that predicts {self.predict_when} with the {self.predict_on}',
                "predict='before', predict_on='teacher': its prediction is the label it learns",
            )
        self.views = [(s, m) for s in scales for m in ((False, True) if flip else (False,))]
        self.threshold, self.window, self.stride = threshold, window, stride
        self.optimizer_reset = require_known(
            'reset of the optimiser', optimizer_reset, ('condition', 'never')
        )
        self.label_size: tuple[int, int] = (0, 0)
        self.labels = torch.zeros(0)
        self._domain: tuple[Any, ...] | None = None

    # --- the stream -----------------------------------------------------------------------------

    def configure(self, optim_wrapper: OptimWrapper | None = None, seed: int = 0) -> None:
        """As the base, and keep the source model."""
        super().configure(optim_wrapper, seed)
        self.source = copy.deepcopy(self.student).requires_grad_(False)
        self.train()

    def adapt_step(self, data: dict, optim_wrapper: OptimWrapper | None = None) -> list:
        """Predict one image and adapt to it.

        Raises:
            BenchError: Several images, or samples with labels.
        """
        samples = data['data_samples']
        if len(samples) > 1:
            raise BenchError(f'a batch of {len(samples)} images', 'batch_size=1')
        meta = samples[0].metainfo
        self.label_size = (int(meta['ori_shape'][0]), int(meta['ori_shape'][1]))
        domain = (meta.get('round'), meta.get('condition'))
        if self.optimizer_reset == 'condition' and domain != self._domain:
            self._reset_optimizer()
        self._domain = domain
        return super().adapt_step(data, optim_wrapper)

    def _reset_optimizer(self) -> None:
        if self.optim_wrapper is not None:
            self.optim_wrapper.load_state_dict(copy.deepcopy(self._optim_state))

    @torch.no_grad()
    def predicted(self, images: Tensor) -> Tensor:
        """Labels (1, H, W) at the label's size."""
        plain = self.probabilities(self.teacher, images)
        self.labels = plain.argmax(dim=1)
        if len(self.views) > 1:
            total = torch.zeros_like(plain)
            for scale, mirrored in self.views:
                once = scale == 1.0 and not mirrored
                total += (
                    plain if once else self.probabilities(self.teacher, images, scale, mirrored)
                )
            confidence = self.probabilities(self.source, images).amax(dim=1)
            averaged = total.argmax(dim=1)
            self.labels = mixed_labels(confidence, self.labels, averaged, self.threshold)
        return self.labels

    def objective(self, images: Tensor, logits: Tensor) -> dict[str, Tensor]:
        """Cross-entropy with the labels of all pixels, at the label's size."""
        return self.term('seg', self.resized(logits, self.label_size), self.labels)

    @torch.no_grad()
    def finished(self, maps: Tensor, samples: list) -> list:
        """The sample with its labels."""
        samples[0].set_data({'pred_sem_seg': PixelData(data=maps)})
        return samples

    # --- views ----------------------------------------------------------------------------------

    def view(self, images: Tensor, scale: float, mirrored: bool) -> Tensor:
        """One view of the images, see :func:`~sfda_bench.methods.cotta.views.view_of`."""
        return view_of(images, scale, mirrored)

    def probabilities(
        self, network: Segmentor, images: Tensor, scale: float = 1.0, mirrored: bool = False
    ) -> Tensor:
        """Probabilities (1, K, H, W) of one view at the label's size, mirrored back.

        The soft-max follows the enlargement, which takes one or two steps as the base has it.
        """

        def logits(part: Tensor) -> Tensor:
            return self.logits_of(network, part, size_of(part))

        view = self.view(images, scale, mirrored)
        whole = self.window is None or max(size_of(view)) <= self.window
        if whole and self.upsample_steps == 1:
            found = self.logits_of(network, view)
        else:
            found = windowed(logits, view, self.window, self.stride)
        found = self.resized(found, self.label_size).softmax(dim=1)
        return found.flip(dims=(3,)) if mirrored else found
