"""Preprocessing of batches with one or several named branches."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.model import BaseDataPreprocessor
from torch import Tensor, nn

from sfda_bench.registry import MODELS


class BranchPreprocessor(BaseDataPreprocessor):
    """Apply the network's own preprocessor to a plain batch, or to each branch of a paired one.

    Args:
        inner: Config of the network's data preprocessor.
    """

    def __init__(self, inner: dict[str, Any]) -> None:
        super().__init__()
        self.inner: nn.Module = MODELS.build(inner)

    def forward(self, data: dict, training: bool = False) -> dict[str, Any]:
        """Normalise; ``{'inputs': ..., 'data_samples': ...}``, each by branch if there are any."""
        if 'inputs' in data:
            return self.inner(data, training)
        parts = {name: self.inner(part, training) for name, part in data.items()}
        return {
            'inputs': {name: part['inputs'] for name, part in parts.items()},
            'data_samples': {name: part['data_samples'] for name, part in parts.items()},
        }

    def to(self, *args: Any, **kwargs: Any) -> BranchPreprocessor:
        """Move both this and the inner preprocessor (mmengine keeps the device in each)."""
        self.inner.to(*args, **kwargs)
        super().to(*args, **kwargs)
        return self

    def cuda(self, *args: Any, **kwargs: Any) -> BranchPreprocessor:
        """Move both to the GPU."""
        self.inner.cuda(*args, **kwargs)
        super().cuda(*args, **kwargs)
        return self

    def cpu(self, *args: Any, **kwargs: Any) -> BranchPreprocessor:
        """Move both to the CPU."""
        self.inner.cpu(*args, **kwargs)
        super().cpu(*args, **kwargs)
        return self


def views_of(inputs: Any, data_samples: Any) -> dict[str, Tensor]:
    """Images and, where some were loaded, labels by name.

    Args:
        inputs: (N, 3, H, W), or such a tensor a branch.
        data_samples: The samples, likewise.

    Returns:
        ``{'image': (N, 3, H, W)}``, with ``'image_label'`` (N, H, W) int64 if labels were loaded;
        for paired batches the branches' names instead of ``image``.
    """
    if not isinstance(inputs, dict):
        inputs, data_samples = {'image': inputs}, {'image': data_samples}
    views = {}
    for name, images in inputs.items():
        views[name] = images
        samples = data_samples[name] or []
        if samples and 'gt_sem_seg' in samples[0]:
            labels = [sample.gt_sem_seg.data.squeeze(0) for sample in samples]
            views[f'{name}_label'] = torch.stack(labels).long()
    return views
