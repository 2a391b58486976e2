"""CRST-LRENT: self-training on soft labels, those of the whole image as published.

Zou et al., Confidence Regularized Self-Training, ICCV 2019, arXiv 1908.09822; official code
``reg_loss_calc_expand``.

Faithful: labels of the whole image, made once a round and brought to the training view by the same
scale, crop and mirroring; a view's pixel counts where bilinear resizing meets a kept one; loss over
these pixels. Deviates: the probabilities are stored at the head's resolution
(:mod:`~sfda_bench.methods.self_training.soft_labels`) and the label is taken at the place where the
view's pixel looks instead of averaged over its neighbours.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from sfda_bench.adapt.branches import views_of
from sfda_bench.errors import require_known
from sfda_bench.labels import IGNORE
from sfda_bench.methods.self_training.adapter import SoftSelfTraining
from sfda_bench.methods.self_training.soft_labels import require_soft, soft_window
from sfda_bench.registry import MODELS


@MODELS.register_module()
class LRENT(SoftSelfTraining):
    """Cross-entropy with soft labels ``(p / theta)^(1 / alpha)``.

    Args:
        segmentor: Config of the network.
        thresholds: ``thresholds.json`` of the round.
        labels: ``'image'``: of the whole image, as published; ``'view'``: predicted on the training
            view by a frozen copy of the round's first network.
        **kwargs: See :class:`~sfda_bench.methods.self_training.adapter.SoftSelfTraining`.
    """

    def __init__(
        self,
        segmentor: dict[str, Any],
        thresholds: str,
        labels: Literal['image', 'view'] = 'image',
        **kwargs: Any,
    ) -> None:
        super().__init__(segmentor, thresholds, **kwargs)
        self.labels = require_known('origin of soft labels', labels, ('image', 'view'))
        if labels == 'image':
            del self.labeller
            own = {'student_like': ('student',), 'frozen': (), 'passes': (1, 0)}
            for name, value in own.items():
                setattr(self, name, value)
        self.waiting: list[tuple[int, Any, tuple[int, int]]] = []

    def loss(self, inputs: Any, data_samples: Any = None) -> dict[str, Tensor]:
        """Losses of one batch; target images bring their soft labels and the size of their file."""
        views = views_of(inputs, data_samples)
        if self.labels == 'image':
            name = 'target' if isinstance(inputs, dict) else 'image'
            samples = data_samples[name] if isinstance(inputs, dict) else data_samples
            soft = require_soft(samples)
            sizes = [sample.ori_shape[:2] for sample in samples]
            first = len(views['source']) if 'source' in views else 0
            self.waiting = list(zip(range(first, first + len(soft)), soft, sizes, strict=True))
            views[f'{name}_label'] = torch.stack([each.labels for each in soft]).long()
        return self.losses(views)

    @torch.no_grad()
    def soft_targets(self, images: Tensor, labels: Tensor, on_target: Tensor) -> Tensor:
        """Soft labels (N, C, H, W) of target images, one-hot ones of source images, 0 ignored."""
        if self.labels == 'view':
            return super().soft_targets(images, labels, on_target)
        theta = self.get_buffer('theta')
        kept = labels != IGNORE
        index = torch.where(kept, labels, 0)[:, None]
        shape = (len(labels), len(theta), *labels.shape[1:])
        found = torch.zeros(shape, dtype=theta.dtype, device=labels.device).scatter_(1, index, 1.0)
        for place, soft, size in self.waiting:
            logs, rows, columns = soft.log_probabilities, soft.rows, soft.columns
            found[place] = soft_window(
                logs, rows, columns, size, theta, self.alpha, self.align_corners
            )
        return found * kept[:, None]
