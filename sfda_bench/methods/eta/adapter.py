"""ETA, dense form: entropy of the pixels that are certain and unlike the average prediction.

Niu et al.: Efficient Test-Time Model Adaptation without Forgetting, ICML 2022, arXiv 2204.02610;
code mr-eggplant/EATA. ETA is EATA without the penalty whose weights take source images.

Faithful: both filters, the weights, the average of predictions and when it moves, the parameters,
the optimiser; a batch of which nothing is left changes nothing.
Deviates: the paper classifies images, here a sample is a pixel at the head's resolution; the limit
of similarity goes with the number of classes, see the card.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from sfda_bench.adapt.certain import certain
from sfda_bench.adapt.fused import EntropyAndProbability
from sfda_bench.adapt.online import OnlineAdapter
from sfda_bench.registry import MODELS


def average_prediction(
    mean: Tensor | None, probabilities: Tensor, chosen: Tensor, momentum: float = 0.9
) -> Tensor:
    """The average prediction (C,) after a batch.

    Args:
        mean: (C,) before it; ``None`` at the beginning.
        probabilities: (N, C, H, W).
        chosen: (N, H, W) bool, the pixels that enter it, one or more.
        momentum: Share of the old average.
    """
    new = (probabilities * chosen.unsqueeze(1)).sum(dim=(0, 2, 3)) / chosen.sum()
    return new if mean is None else momentum * mean + (1.0 - momentum) * new


@MODELS.register_module()
class ETA(OnlineAdapter):
    """Minimise the entropy of pixels that are certain and unlike what was seen.

    An image: the forward pass predicts it; of its pixels those are chosen whose entropy is below a
    margin and whose probabilities are not similar to their running average; the average moves
    towards them; the loss ``entropy``
    (:class:`~sfda_bench.adapt.certain.CertainEntropyLoss`, which has the margin) of them, and
    a step. Where none is chosen, there is no step.

    Args:
        segmentor: See :class:`~sfda_bench.adapt.adapter.Adapter`.
        similarity: Cosine of a pixel's probabilities with the average from which on it is left
            out. Against an even average it is 1 / sqrt(C) for a pixel that is sure.
        momentum: Of the average.
        **kwargs: See :class:`~sfda_bench.adapt.online.OnlineAdapter`.
    """

    def __init__(
        self,
        segmentor: dict[str, Any],
        similarity: float = 0.3,
        momentum: float = 0.9,
        **kwargs: Any,
    ) -> None:
        super().__init__(segmentor, **{'trainable': 'norm_affine', **kwargs})
        self.similarity, self.momentum = similarity, momentum
        self.mean: Tensor | None = None

    def reset(self) -> None:
        """As the base, and forget the average."""
        super().reset()
        self.mean = None

    def objective(self, images: Tensor, logits: Tensor) -> dict[str, Tensor]:
        """Weighted entropy of the chosen pixels at the head's resolution; none: no loss."""
        entropy, probabilities = EntropyAndProbability.apply(logits)
        probabilities = probabilities.detach()
        chosen = self.choose(entropy.detach(), probabilities)
        # Whether to step is decided here and waits for the device, once an image, as the
        # prediction that is written does.
        if not bool(chosen.any()):
            return {}
        self.mean = average_prediction(self.mean, probabilities, chosen, self.momentum)
        return self.term('entropy', logits, entropy=entropy, chosen=chosen)

    @torch.no_grad()
    def choose(self, entropy: Tensor, probabilities: Tensor) -> Tensor:
        """Which pixels count, (N, H, W) bool.

        Args:
            entropy: (N, H, W) in nats.
            probabilities: (N, C, H, W).
        """
        loss: Any = self.terms['entropy']
        chosen = certain(entropy, probabilities.shape[1], loss.margin)
        if self.mean is not None:
            alike = cosine_similarity(probabilities, self.mean.view(1, -1, 1, 1), dim=1)
            chosen = chosen & (alike.abs() < self.similarity)
        return chosen
