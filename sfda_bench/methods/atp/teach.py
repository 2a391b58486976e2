"""ATP's stage T: teach by positive and negative labels (see :mod:`sfda_bench.methods.atp`)."""

from __future__ import annotations

from torch import Tensor

from sfda_bench.adapt.features import size_of
from sfda_bench.methods.atp.complementary import ComplementaryStage
from sfda_bench.methods.atp.curriculum import thresholded
from sfda_bench.registry import MODELS


@MODELS.register_module()
class ATPTeach(ComplementaryStage):
    """Stage T: the teacher labels the weak view, the student learns on the strong one.

    An iteration:

    1. ``MeanTeacherHook`` averages the teacher, which labels the weak view.
    2. The losses ``positive`` and ``negative`` of :class:`ComplementaryStage` on the strong view.
    """

    def losses(self, views: dict[str, Tensor]) -> dict[str, Tensor]:
        """Positive and negative self-training."""
        images, labels, confidence = self.labelled(views['image'])
        labels = thresholded(confidence, labels, self.positive_threshold)
        return self.complementary(self.logits(self.strong(images), size_of(labels)), labels)
