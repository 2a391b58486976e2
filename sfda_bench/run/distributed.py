"""The share of one rank: a stage's config turned into that of one of several processes."""

from __future__ import annotations

import os
from typing import Any

from sfda_bench.errors import BenchError


def share_batch(config: Any) -> None:
    """Turn a config for one process into one rank's, in place.

    Raises:
        BenchError: The total batch cannot be shared evenly.
    """
    import torch

    ranks = int(os.environ.get('WORLD_SIZE', '1'))
    if ranks == 1:
        return
    config.launcher = 'pytorch'
    # Methods freeze parts of the network, or leave the auxiliary head out.
    config.find_unused_parameters = True
    if not torch.cuda.is_available():
        # mmengine's own set-up wants a GPU index; a group that exists it takes as it is.
        torch.distributed.init_process_group('gloo')
        config.model_wrapper_cfg = {
            'type': 'MMDistributedDataParallel',
            'device_ids': None,
            'broadcast_buffers': False,
            'find_unused_parameters': True,
        }
    if 'train_dataloader' in config:
        total = config.train_dataloader.batch_size
        if total % ranks:
            raise BenchError(
                f'a total batch of {total} on {ranks} devices',
                'a number of devices that divides it: the total batch is part of the method',
                'choose another --gpus-per-stage',
            )
        config.train_dataloader.batch_size = total // ranks
