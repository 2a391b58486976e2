"""A stand-in for a network: predictions that were saved while a stream ran, to be scored later."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.model import BaseModel
from mmengine.structures import PixelData
from PIL import Image

from sfda_bench.errors import DataError
from sfda_bench.registry import MODELS


@MODELS.register_module()
class SavedPredictions(BaseModel):
    """Give each sample the label map that was saved under its id.

    Args:
        folder: Holds ``<sample_id>.png``, uint8 indices of output channels (before any
            ``prediction_map``) at the size of the label.
    """

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.folder = Path(folder)

    def forward(self, *_: Any, **__: Any) -> None:
        """There is no network."""
        raise NotImplementedError('SavedPredictions replays predictions; it cannot make any')

    def test_step(self, data: dict) -> list:
        """The samples of a collated batch with ``pred_sem_seg``.

        Raises:
            DataError: No prediction was saved for one.
        """
        samples = data['data_samples']
        for sample in samples:
            path = self.folder / f'{sample.metainfo["sample_id"]}.png'
            if not path.is_file():
                raise DataError(
                    f'no prediction {path}', 'one PNG an image', 'run the stream stage again'
                )
            with Image.open(path) as image:
                labels = np.asarray(image).astype(np.uint8)
            sample.set_data({'pred_sem_seg': PixelData(data=torch.from_numpy(labels)[None])})
        return samples
