"""MaxSquare and IW-MaxSquare, beside labelled source images as published, and without them.

Chen, Xue, Cai: Domain Adaptation for Semantic Segmentation with Maximum Squares Loss, ICCV 2019,
arXiv 1909.13589; code ZJULearning/MaxSquareLoss.

Faithful: the losses with their factors, at the size of the input; multi-level guidance; one step
for source and target, batch norm that follows both.
Deviates: the weights within an image are right for batches of several, too; without source data
the method is our reading (see the cards).
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from sfda_bench.adapt.adapter import Adapter
from sfda_bench.adapt.features import size_of
from sfda_bench.registry import MODELS


@MODELS.register_module()
class MaxSquare(Adapter):
    """Source-free: the loss ``square`` alone.

    That is :class:`~sfda_bench.methods.maxsquare.losses.MaxSquareLoss` or
    :class:`~sfda_bench.methods.maxsquare.losses.ImageWeightedMaxSquareLoss`. No hooks.
    """

    def losses(self, views: dict[str, Tensor]) -> dict[str, Tensor]:
        """The loss at the size of the images, as in the code, whose network enlarges its logits."""
        images = views['image']
        return self.term('square', self.logits(images, size_of(images)))


@MODELS.register_module()
class MaxSquareUDA(Adapter):
    """As published: labelled source images beside the target's.

    An iteration, one step for the sum of these losses, no hooks:

    1. ``seg`` on the source and, of an auxiliary head, ``auxiliary``.
    2. ``square`` on the target's main output and, with an auxiliary head, ``guidance``
       (:class:`~sfda_bench.methods.maxsquare.losses.HeadGuidanceLoss`).

    Losses of an auxiliary head are left out where the network has none or the config does not state
    them.
    """

    passes = (2, 0)

    @property
    def auxiliary(self) -> nn.Module | None:
        """The auxiliary head, or None."""
        head: Any = getattr(self.student, 'auxiliary_head', None)
        return head[0] if isinstance(head, nn.ModuleList) else head

    def losses(self, views: dict[str, Tensor]) -> dict[str, Tensor]:
        """All losses.

        Args:
            views: ``source`` (N, 3, H, W), ``source_label`` (N, H, W), ``target`` (N, 3, h, w).
        """
        main, auxiliary = self.outputs(views['source'])
        labels = views['source_label']
        found = self.term('seg', main, labels)
        if auxiliary is not None and 'auxiliary' in self.terms:
            found |= self.term('auxiliary', auxiliary, labels)
        main, auxiliary = self.outputs(views['target'])
        self.note_prediction(main)
        found |= self.term('square', main)
        if auxiliary is not None and 'guidance' in self.terms:
            found |= self.term('guidance', auxiliary, main=main)
        return found

    def outputs(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Logits of the main and the auxiliary head at the size of ``images``."""
        features, size = self.student.extract_feat(images), size_of(images)
        main = self.resized(self.student.decode_head(features), size)
        if self.auxiliary is None:
            return main, None
        return main, self.resized(self.auxiliary(features), size)
