"""Supervision with labels coarser than the network's classes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax, nll_loss

from sfda_bench.labels import IGNORE
from sfda_bench.registry import MODELS


def group_log_probabilities(logits: Tensor, groups: Sequence[int]) -> Tensor:
    """Log-probability of each group of classes.

    Args:
        logits: (N, C, H, W).
        groups: For each of the C channels the group it belongs to; all of 0..G-1 occur.

    Returns:
        (N, G, H, W): log of the summed soft-max of the group's channels.
    """
    log_p = log_softmax(logits, dim=1)
    index = torch.as_tensor(groups, device=logits.device)
    parts = [
        torch.logsumexp(log_p[:, index == group], dim=1) for group in range(max(groups) + 1)
    ]  # fmt: skip
    return torch.stack(parts, dim=1)


@MODELS.register_module()
class GroupedCrossEntropyLoss(nn.Module):
    """Cross-entropy for a label space of which each label covers several of the network's classes.

    Used where a network of 19 outputs is trained on CamVid's 11 labels: the likelihood of a label
    is the sum over the classes that it covers.

    Args:
        groups: For each output channel the label it counts towards.
        loss_weight: Factor.
        loss_name: Name in the log.
    """

    def __init__(
        self, groups: Sequence[int], loss_weight: float = 1.0, loss_name: str = 'loss_group_ce'
    ) -> None:
        super().__init__()
        self.groups = tuple(int(group) for group in groups)
        self.loss_weight = loss_weight
        self._loss_name = loss_name

    def forward(
        self, seg_logit: Tensor, label: Tensor, weight=None, ignore_index: int = IGNORE, **_
    ) -> Tensor:
        """Mean over the labelled pixels of ``label`` (N, H, W), 0 if there are none."""
        log_p = group_log_probabilities(seg_logit, self.groups)
        total = nll_loss(log_p, label.long(), ignore_index=ignore_index, reduction='sum')
        return self.loss_weight * total / (label != ignore_index).sum().clamp(min=1)

    @property
    def loss_name(self) -> str:
        """Name of the loss item, as mmseg's heads ask for it."""
        return self._loss_name
