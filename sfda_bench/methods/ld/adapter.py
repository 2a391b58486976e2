"""LD: learn confident labels, and which classes a pixel is not.

You et al., Domain Adaptive Semantic Segmentation without Source Data, ACM MM 2021, arXiv
2110.06484; code fumyou13/LDBE.

Faithful: the three losses of the released code with their weights, its double soft-max included;
the negative class; batch norm by the batch, its scale and shift trained in projections alone.
Deviates: the running statistics stay as they are while labels are made.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from sfda_bench.adapt.adapter import Adapter
from sfda_bench.adapt.features import size_of
from sfda_bench.adapt.norm import free_projections
from sfda_bench.labels import IGNORE
from sfda_bench.registry import MODELS


@MODELS.register_module()
class LD(Adapter):
    """Positive labels of an earlier stage, entropy, negative labels.

    An iteration, no hooks: at the size of the view the losses ``label`` on the labelled pixels,
    ``entropy`` and ``negative`` on all; the step.

    Args:
        segmentor: See :class:`~sfda_bench.adapt.adapter.Adapter`.
        projection_affine: Train scale and shift in a ResNet's projections, where the network
            freezes them, as the code does.
        dropout: Of the network's own.
        **kwargs: See :class:`~sfda_bench.adapt.adapter.Adapter`.
    """

    def __init__(
        self,
        segmentor: dict[str, Any],
        projection_affine: bool = True,
        dropout: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(segmentor, dropout=dropout, **kwargs)
        if projection_affine:
            free_projections(self.student.backbone)

    def losses(self, views: dict[str, Tensor]) -> dict[str, Tensor]:
        """Losses on ``image`` with its labels."""
        images, labels = views['image'], views['image_label']
        logits = self.logits(images, size_of(images))
        return {
            **self.term('label', logits, labels),
            **self.term('entropy', logits),
            **self.term('negative', logits),
            'labelled': (labels != IGNORE).float().mean(),
        }
