from __future__ import annotations

import pytest
import torch

from sfda_bench.adapt.mixing import (
    balanced_crops,
    class_counts,
    class_masks,
    class_means,
    crop_scores,
    cropped,
    draw_classes,
    masks_of,
    number_to_paste,
    paste,
    weighted_class_masks,
)


@pytest.mark.parametrize(('present', 'number'), [(1, 1), (2, 1), (5, 3), (6, 3), (11, 6), (19, 10)])
def test_half_of_the_classes_rounded_up(present, number):
    assert number_to_paste(present) == number
    row = torch.arange(24) < present
    drawn = draw_classes(torch.stack([row, row.flip(0)]))
    assert drawn.sum(dim=1).tolist() == [number, number]
    assert not (drawn & ~torch.stack([row, row.flip(0)])).any()


def test_masks_cover_whole_classes():
    labels = torch.randint(0, 5, (3, 8, 8), generator=torch.Generator().manual_seed(0))
    labels[0, 0, 0] = 255
    masks = class_masks(labels, 5)
    for label, mask in zip(labels, masks, strict=True):
        pasted = label[mask].unique()
        assert len(pasted) == 3 and 255 not in pasted
        assert torch.equal(mask, torch.isin(label, pasted))


def test_the_number_is_that_of_the_batch_or_of_the_image():
    labels = torch.stack([torch.zeros(4, 4), torch.arange(16.0).view(4, 4)]).long()
    torch.manual_seed(0)
    of_batch = [class_masks(labels, 19)[0].any().item() for _ in range(60)]
    assert 0.3 < sum(of_batch) / 60 < 0.7  # 8 of the batch's 16 classes, one of them here
    assert all(class_masks(labels, 19, per_image=True)[0].all() for _ in range(9))


def test_images_are_drawn_apart():
    labels = torch.arange(16).view(1, 4, 4).expand(2, 4, 4)
    torch.manual_seed(0)
    masks = class_masks(labels, 16)
    assert not torch.equal(masks[0], masks[1])


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


def test_a_draw_without_replacement_has_the_probabilities_of_one_after_another():
    torch.manual_seed(0)
    weights = torch.tensor([[5.0, 3.0, 2.0]]).expand(20000, 3)
    drawn = draw_classes(torch.ones(20000, 3, dtype=torch.bool), weights).double().mean(dim=0)
    # two of three: 1 - the probability that it is left over
    p = torch.tensor([5.0, 3.0, 2.0]) / 10
    left = [sum(p[i] * p[j] / (1 - p[i]) for i, j in ((a, b), (b, a)))
            for a, b in ((1, 2), (0, 2), (0, 1))]  # fmt: skip
    assert drawn.tolist() == pytest.approx([1 - float(x) for x in left], abs=0.012)


def test_class_counts_and_means():
    labels = torch.tensor([[0, 0, 2, 255], [1, 1, 1, 1]])
    values = torch.tensor([[1.0, 3.0, 5.0, 9.0], [1.0, 1.0, 1.0, 2.0]])
    assert class_counts(labels, 3).tolist() == [[2, 0, 1], [0, 4, 0]]
    assert class_means(labels, values, 3).tolist() == [[2.0, 0.0, 5.0], [0.0, 1.25, 0.0]]


def test_what_is_no_class_is_in_no_mask():
    chosen = torch.tensor([[True, False]])
    assert masks_of(torch.tensor([[[0, 1, 255, 2]]]), chosen).tolist() == [
        [[True, False, False, False]]
    ]


def test_pasting_images_and_maps():
    mask = torch.tensor([[[True, False]]])
    above, below = torch.ones(1, 3, 1, 2), torch.zeros(1, 3, 1, 2)
    assert paste(mask, above, below)[0, :, 0].tolist() == [[1.0, 0.0]] * 3
    assert paste(mask, above[:, 0], below[:, 0]).tolist() == [[[1.0, 0.0]]]


def test_crop_scores_of_the_sheet():
    counts = [[5, 4, 3, 0], [75, 25, 0, 0], [50, 0, 0, 0], [5, 4, 3, 1], [0, 0, 0, 0]]
    found = crop_scores(torch.tensor(counts)).tolist()
    # ln 60 = 4.09434456222; the sheet prints ...623
    assert found[0] == pytest.approx(4.0943445623, abs=1e-10)
    assert found[1:3] == [0.0, 0.0] and found[3] == found[0] and found[4] == 0.0


def test_the_richer_crop_wins():
    labels = torch.zeros(2, 4, 40, dtype=torch.int64)
    labels[0, :2, 30:] = 1
    torch.manual_seed(0)
    corners = balanced_crops(labels, (4, 10), 2, tries=200)
    assert int(corners[0, 0]) == 0 and int(corners[0, 1]) > 22
    assert corners.shape == (2, 2)


def test_crops_are_padded_where_the_image_is_smaller():
    images = torch.arange(48.0).view(2, 1, 4, 6)
    corners = torch.tensor([[1, 2], [0, 3]])
    got = cropped(images, corners, (2, 3))
    assert torch.equal(got[0], images[0, :, 1:3, 2:5])
    assert torch.equal(got[1], images[1, :, 0:2, 3:6])
    wide = cropped(images, torch.zeros(2, 2, dtype=torch.int64), (5, 5))
    assert wide.shape == (2, 1, 5, 5)
    assert torch.equal(wide[:, :, :4], images[..., :5]) and not wide[:, :, 4].any()
