"""IntraDA: rank the target by entropy, then align its hard images to its easy ones.

Pan, Shin, Rameau, Lee, Kweon, CVPR 2020, arXiv 2004.07703; code feipanir/IntraDA.

Faithful: score, split at 0.67, unfiltered arg-max labels of the easy images, the adversarial game
with easy as source and hard as target. Deviates (source-free reading): the source model ranks and
is adapted; the paper ranks with AdvEnt and starts again from ImageNet-type weights.
"""

from __future__ import annotations

from sfda_bench.adapt.adversarial import AdversarialAdapter
from sfda_bench.registry import MODELS


@MODELS.register_module()
class IntraDA(AdversarialAdapter):
    """The intra-domain step; everything is in the base."""
