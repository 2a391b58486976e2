"""ATP where only the source model's predictions are visible: learn them, then align and teach.

Wang, Liang, Zhang: A Curriculum-style Self-training Approach for Source-Free Semantic Segmentation,
TPAMI 2024, arXiv 2106.11653. The abstract says that the method extends to black boxes by
distillation; the text was not at hand and the released code has no such branch.

Reconstructed: the whole first step. A network without the source's weights learns the top label and
its probability on strong views; ATP's own stages follow unchanged.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sfda_bench.adapt.branches import views_of
from sfda_bench.adapt.features import size_of
from sfda_bench.methods.atp.complementary import CroppingTeacher
from sfda_bench.registry import MODELS


@MODELS.register_module()
class ATPDistil(CroppingTeacher):
    """Cross-entropy with the vendor's label and probability of every pixel.

    An iteration: the loss ``distil`` (:class:`~sfda_bench.methods.atp.losses.DistillationLoss`) on
    the strong view; no hook.

    Args:
        **kwargs: See :class:`~sfda_bench.methods.atp.complementary.CroppingTeacher`.
    """

    passes = (1, 0)

    def averaged(self) -> list[tuple[nn.Module, nn.Module]]:
        """None: the vendor teaches here."""
        return []

    def loss(self, inputs: Any, data_samples: Any = None) -> dict[str, Tensor]:
        """Losses of one batch with the vendor's confidence of each pixel."""
        views = views_of(inputs, data_samples)
        found = [sample.confidence.data.squeeze(0) for sample in data_samples]
        return self.losses({**views, 'image_confidence': torch.stack(found)})

    def losses(self, views: dict[str, Tensor]) -> dict[str, Tensor]:
        """Distillation on the strong view."""
        labels = views['image_label']
        logits = self.logits(self.strong(views['image']), size_of(labels))
        return self.term('distil', logits, labels, confidence=views['image_confidence'])
