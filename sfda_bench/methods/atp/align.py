"""ATP's stage A: align by curriculum entropy and diversity (see :mod:`sfda_bench.methods.atp`)."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from sfda_bench.adapt.features import size_of
from sfda_bench.methods.atp.complementary import CroppingTeacher
from sfda_bench.methods.atp.curriculum import entropy_and_probability
from sfda_bench.registry import MODELS


@MODELS.register_module()
class ATPAlign(CroppingTeacher):
    """Stage A: ``w_e mean (1 - H)^gamma H - w_d L_div`` on strong views.

    An iteration:

    1. ``MeanTeacherHook`` averages the teacher where class-balanced crops need one; they are
       chosen by its labels.
    2. The losses ``entropy`` (:class:`~sfda_bench.methods.atp.losses.CurriculumEntropyLoss`) and
       ``diversity`` (:class:`~sfda_bench.methods.atp.losses.DiversityLoss`), from one pass over
       the student's logits on the strong view.

    Args:
        freeze_classifier: Train the encoder only (the paper's figure; the code trains all).
        **kwargs: See :class:`~sfda_bench.methods.atp.complementary.CroppingTeacher`.
    """

    passes = (1, 0)

    def __init__(self, freeze_classifier: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if freeze_classifier:
            self.student.decode_head.requires_grad_(False)

    def averaged(self) -> list[tuple[nn.Module, nn.Module]]:
        """Only the choice of crops needs a teacher here."""
        return [] if self.cbc_size is None else super().averaged()

    def losses(self, views: dict[str, Tensor]) -> dict[str, Tensor]:
        """Curriculum entropy and diversity."""
        images = self.chosen_crops(views['image'])
        logits = self.logits(self.strong(images), size_of(images))
        entropy, probability = entropy_and_probability(logits)
        return {
            **self.term('entropy', logits, entropy=entropy),
            **self.term('diversity', logits, entropy=entropy, probability=probability),
        }
