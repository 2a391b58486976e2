"""Feeding of an accelerator: pinned batches that travel while it computes. No part of any id."""

from __future__ import annotations

from typing import Any

#: Loader workers of a stage on a GPU, where the user does not say.
USUAL_WORKERS = 4


def usual_workers(gpus: int, stages: int, cores: int) -> int:
    """Loader workers of each stage: none on a CPU, where stages take the cores themselves.

    Args:
        gpus: GPUs of this machine.
        stages: Stages at a time.
        cores: Cores that this process may use.
    """
    return max(1, min(USUAL_WORKERS, cores // max(1, stages) - 1)) if gpus else 0


def pin(config: Any) -> None:
    """Let the loaders of a resolved config put their batches into pinned memory."""
    for key in ('train_dataloader', 'test_dataloader'):
        if config.get(key):
            config[key].pin_memory = True


def unblock(model: Any) -> int:
    """Let every data preprocessor of a model copy without waiting; returns their number."""
    from mmengine.model import BaseDataPreprocessor

    found = [m for m in model.modules() if isinstance(m, BaseDataPreprocessor)]
    for preprocessor in found:
        # mmengine takes this from the constructor alone, whose arguments belong to the ids
        preprocessor._non_blocking = True
    return len(found)
