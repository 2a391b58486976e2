"""IAPC's forward of clean images after each step.

Source: IAPC (arXiv 2306.01598), code ``trainer.py``: the network runs over a clean batch in
training mode, so that half of the updates of the running statistics come from clean images.
"""

from __future__ import annotations

from typing import Any

import torch
from mmengine.hooks import Hook

from sfda_bench.adapt.hooks import unwrapped
from sfda_bench.errors import BenchError
from sfda_bench.registry import HOOKS


@HOOKS.register_module()
class CleanForwardHook(Hook):
    """Forward images after the step, without gradient: batch-norm's running statistics move.

    The network keeps its modes; a batch without such a branch is passed over. A model that is no
    adapter is forwarded itself, and a plain batch as it is.

    Args:
        interval: Iterations between two forwards; ``None`` leaves them out.
        branch: Name of the images in a batch that has several branches.
    """

    priority = 'NORMAL'

    def __init__(self, interval: int | None = 1, branch: str = 'clean') -> None:
        if interval is not None and interval < 1:
            raise BenchError(f'interval {interval} of the clean forward', '1 or more, or None')
        self.interval, self.branch = interval, branch

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Forward the clean images of the batch."""
        if self.interval is None or not self.every_n_train_iters(runner, self.interval):
            return
        model = unwrapped(runner)
        network = getattr(model, 'student', model)
        with torch.no_grad(), runner.optim_wrapper.optim_context(model):
            images = self.images_of(model, data_batch)
            if images is not None:
                network.decode_head(network.extract_feat(images))

    def images_of(self, model: Any, batch: Any) -> torch.Tensor | None:
        """Normalised images (N, 3, H, W) of the branch, or of a plain batch."""
        if batch is None:
            return None
        if 'inputs' not in batch:
            if self.branch not in batch:
                return None
            batch = {self.branch: batch[self.branch]}
        inputs = model.data_preprocessor(batch, True)['inputs']
        return inputs.get(self.branch) if isinstance(inputs, dict) else inputs
