"""Padding and mirror images of the pass that examines a checkpoint."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmseg.structures import SegDataSample

from sfda_bench.adapt.validation import inside
from tests.methods.helpers import perturb, plain


@pytest.mark.parametrize(
    ('cells', 'padded', 'size', 'expected'),
    [(24, 96, 96, 24), (24, 96, 90, 22), (25, 97, 97, 25), (24, 96, 1, 1), (24, 96, 94, 23)],
)
def test_cells_whose_centre_lies_in_the_image(cells, padded, size, expected):
    centres = (np.arange(cells) + 0.5) * padded / cells
    assert inside(cells, padded, size) == max(1, (centres < size).sum()) == expected


def sample(height: int, width: int) -> SegDataSample:
    found = SegDataSample()
    found.set_metainfo({'img_shape': (height, width)})
    return found


def test_logits_are_cut_to_the_image_and_brought_into_register():
    model = plain('StatisticsPredictor').eval()
    perturb(model.student, 1)
    images = torch.randn(2, 3, 48, 96, generator=torch.Generator().manual_seed(0))
    one, two = model.predict(images, [sample(48, 96), sample(24, 48)])
    with torch.no_grad():
        whole = model.student.decode_head(model.student.extract_feat(images))
    rows, columns = whole.shape[-2:]
    torch.testing.assert_close(one.logits, whole[0])
    assert two.logits.shape[-2:] == (rows // 2, columns // 2) == two.mirrored.shape[-2:]
    torch.testing.assert_close(two.logits, whole[1, :, : rows // 2, : columns // 2])
    mirrored, _ = model.predict(images.flip(3), [sample(48, 96), sample(48, 96)])
    torch.testing.assert_close(mirrored.mirrored.flip(2), one.logits)
