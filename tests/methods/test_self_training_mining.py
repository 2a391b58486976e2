"""Crops that prefer rare classes: case M8 of the CBST sheet, and the transforms."""

from __future__ import annotations

import json

import numpy as np
import pytest

from sfda_bench.methods.self_training.mining import (
    MinedCrop,
    RandomScale,
    mined_window,
    window_start,
)


@pytest.mark.parametrize(
    ('seed', 'size', 'crop', 'start'),
    [
        (100, 2048, 1024, 0), (700, 2048, 1024, 188), (1500, 2048, 1024, 988),
        (2047, 2048, 1024, 1024), (10, 1024, 512, 0), (512, 1024, 512, 256),
        (1000, 1024, 512, 512),
    ],
)  # fmt: skip
def test_m8_window(seed, size, crop, start):
    assert window_start(seed, size, crop) == start


def test_a_rare_pixel_is_always_inside_the_crop():
    labels = np.zeros((40, 80), np.uint8)
    labels[5, 70] = 12
    np.random.seed(0)
    for _ in range(20):
        top, left = mined_window(labels, (20, 20), [3, 12], chance=1.0)
        assert top <= 5 < top + 20 and left <= 70 < left + 20
    starts = {mined_window(labels, (20, 20), [12], chance=0.0) for _ in range(20)}
    assert len(starts) > 5
    full = mined_window(np.full((20, 20), 255), (20, 20), [1], chance=1.0)
    assert full == (0, 0)


def test_transforms_pad_scale_and_mine_only_pseudo_labels(tmp_path):
    stats = tmp_path / 'stats.json'
    stats.write_text(json.dumps({'rare': [7]}))
    labels = np.zeros((30, 60), np.uint8)
    labels[2, 2] = 7
    image = np.full((30, 60, 3), 50, np.uint8)
    crop = MinedCrop((16, 16), str(stats), chance=1.0)
    item = dict(img=image, gt_seg_map=labels, seg_fields=['gt_seg_map'], pseudo_label=True)
    assert (crop.transform(dict(item))['gt_seg_map'] == 7).sum() == 1
    np.random.seed(1)
    plain = [crop.transform({**item, 'pseudo_label': False})['gt_seg_map'] for _ in range(20)]
    assert any((found == 7).sum() == 0 for found in plain)
    big = MinedCrop((40, 64)).transform(dict(item))
    assert big['img'].shape == (40, 64, 3) and big['gt_seg_map'][35, 0] == 255
    scaled = RandomScale([0.5]).transform(dict(item))
    assert scaled['img'].shape[:2] == scaled['gt_seg_map'].shape == (15, 30)
