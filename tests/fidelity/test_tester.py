"""ADVENT's tester on an image of native size: input, predictions and confusion counts.

Its logits are enlarged once, from the head's resolution to the size of the label.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from PIL import Image
from torch.nn.functional import interpolate

from sfda_bench.registry import MODELS
from tests.fidelity import streets
from tests.fidelity.compare import vectors
from tests.fidelity.rules import grey_level_weight

_, ARRAYS = vectors('intrada')
NATIVE, INPUT = (1024, 2048), (512, 1024)


def test_input_of_the_network() -> None:
    """Pillow's bicubic reduction, blue first, minus the mean."""
    expected = ARRAYS['tester/input_every32']
    assert network_input(700)[:, ::32, ::32] == pytest.approx(expected, abs=1e-5)


def network_input(seed: int) -> np.ndarray:
    """What the network gets of the image of a seed, float32 (3, H, W)."""
    pixels = streets.pixels(seed, NATIVE).astype(np.uint8).transpose(1, 2, 0)
    small = Image.fromarray(pixels).resize(INPUT[::-1], Image.Resampling.BICUBIC)
    centred = np.asarray(small).astype(np.float32) - streets.MEAN.ravel().astype(np.float32)
    return np.ascontiguousarray(centred.transpose(2, 0, 1))


def counts(labels: torch.Tensor, predicted: torch.Tensor) -> np.ndarray:
    """Confusion counts (19, 19), rows true, of labelled pixels."""
    kept = labels != 255
    pairs = 19 * labels[kept] + predicted[kept]
    return torch.bincount(pairs, minlength=361).reshape(19, 19).numpy()


@torch.no_grad()
def test_predictions_and_counts() -> None:
    """Equal to the last count when enlarged once; not when enlarged by way of the input's size."""
    init_default_scope('sfda_bench')
    network = MODELS.build(streets.network('deeplabv2_r101_multi')).eval()
    network.load_state_dict(streets.weights(network, grey_level_weight))
    coarse = network.decode_head(network.extract_feat(torch.from_numpy(network_input(700))[None]))
    labels = streets.labels(800, NATIVE, 19)[0]
    once = enlarged(coarse, NATIVE).argmax(dim=1)[0]
    assert np.array_equal(once[::16, ::16].numpy(), ARRAYS['tester/predictions_every16'][0])
    recorded = ARRAYS['tester/hist'][0]
    assert np.array_equal(counts(labels, once), recorded)
    twice = enlarged(enlarged(coarse, INPUT), NATIVE).argmax(dim=1)[0]
    assert np.abs(counts(labels, twice) - recorded).sum() > 100


def enlarged(logits: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Logits at another size, corners aligned."""
    return interpolate(logits, size=size, mode='bilinear', align_corners=True)
