from __future__ import annotations

import pytest
import torch

from sfda_bench.adapt.mixing import (
    balanced_crop,
    class_mask,
    class_masks,
    class_mean,
    crop_score,
    cropped,
    draw_classes,
    number_to_paste,
    paste,
    present_classes,
    weighted_class_masks,
)


@pytest.mark.parametrize(('present', 'number'), [(1, 1), (2, 1), (5, 3), (6, 3), (11, 6), (19, 10)])
def test_half_of_the_classes_rounded_up(present, number):
    assert number_to_paste(present) == number
    assert len(draw_classes(torch.arange(present)).unique()) == number


def test_masks_cover_whole_classes():
    labels = torch.randint(0, 5, (3, 8, 8), generator=torch.Generator().manual_seed(0))
    labels[0, 0, 0] = 255
    assert present_classes(labels, 5).tolist() == [0, 1, 2, 3, 4]
    masks = class_masks(labels, 5)
    for label, mask in zip(labels, masks, strict=True):
        pasted = label[mask].unique().tolist()
        assert len(pasted) == 3 and 255 not in pasted
        assert torch.equal(mask, class_mask(label, torch.tensor(pasted)))


def test_equal_random_states_give_equal_masks():
    labels = torch.randint(0, 19, (2, 8, 8))
    state = torch.get_rng_state()
    first = class_masks(labels, 19)
    torch.set_rng_state(state)
    assert torch.equal(first, class_masks(labels, 19))


def test_classes_of_higher_score_are_drawn_more_often():
    labels = torch.tensor([[[0, 0, 1, 1]]])
    scores = torch.tensor([[[0.9, 0.9, 0.1, 0.1]]])
    torch.manual_seed(0)
    drawn = [bool(weighted_class_masks(labels, scores, 2)[0, 0, 0]) for _ in range(400)]
    assert 0.84 < sum(drawn) / 400 < 0.96
    zero = weighted_class_masks(labels, torch.zeros(1, 1, 4), 2)
    assert int(zero.sum()) == 2


def test_class_means():
    labels, values = torch.tensor([0, 0, 2, 255]), torch.tensor([1.0, 3.0, 5.0, 9.0])
    assert class_mean(labels, values, 3).tolist() == [2.0, 0.0, 5.0]


def test_pasting_images_and_maps():
    mask = torch.tensor([[[True, False]]])
    above, below = torch.ones(1, 3, 1, 2), torch.zeros(1, 3, 1, 2)
    assert paste(mask, above, below)[0, :, 0].tolist() == [[1.0, 0.0]] * 3
    assert paste(mask, above[:, 0], below[:, 0]).tolist() == [[[1.0, 0.0]]]


def test_crop_scores_of_the_sheet():
    # ln 60 = 4.09434456222; the sheet prints ...623
    assert crop_score((5, 4, 3)) == pytest.approx(4.0943445623, abs=1e-10)
    assert crop_score((75, 25)) == 0.0
    assert crop_score((50,)) == 0.0
    assert crop_score((5, 4, 3, 1)) == crop_score((5, 4, 3))


def test_the_richer_crop_wins():
    labels = torch.zeros(4, 40, dtype=torch.int64)
    labels[:2, 30:] = 1
    torch.manual_seed(0)
    top, left = balanced_crop(labels, (4, 10), 2, tries=200)
    assert top == 0 and left > 22


def test_crops_are_padded_where_the_image_is_smaller():
    images = torch.arange(24.0).view(1, 1, 4, 6)
    assert torch.equal(cropped(images, [(1, 2)], (2, 3)), images[:, :, 1:3, 2:5])
    assert cropped(images, [(0, 0)], (5, 5)).shape == (1, 1, 5, 5)
