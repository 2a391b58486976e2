"""Prototypes and cosines: case A of the IAPC sheet, and images apart."""

import pytest
import torch

from sfda_bench.methods.iapc.prototypes import cosine_similarity, image_prototypes, similarity_map

MEMORY = torch.tensor([[[[1.0, 0], [1, 3]], [[0.0, 2], [1, 4]]]])
STUDENT = torch.tensor([[[[1.0, 0], [1, 2]], [[1.0, 1], [3, 0]]]])
LABELS = torch.tensor([[[0, 1], [1, 0]]])


def test_prototypes_are_means_and_absent_classes_zero():
    assert image_prototypes(MEMORY, LABELS, 3)[0].tolist() == [[2, 2], [0.5, 1.5], [0, 0]]


def test_ignored_positions_count_nowhere():
    labels = LABELS.clone()
    labels[0, 0, 0] = 255
    assert image_prototypes(MEMORY, labels, 3)[0, 0].tolist() == [3, 4]


def test_images_do_not_mix():
    both = image_prototypes(torch.cat([MEMORY, 2 * MEMORY]), LABELS.expand(2, 2, 2), 3)
    assert torch.equal(both[1], 2 * both[0])


def test_cosines_and_both_views():
    found = cosine_similarity(STUDENT, image_prototypes(MEMORY, LABELS, 3))
    maps = similarity_map(found, (2, 2))[0].flatten(1)
    assert maps[0].tolist() == pytest.approx([1, 0.707107, 0.894427, 0.707107], abs=1e-6)
    assert maps[1].tolist() == pytest.approx([0.894427, 0.948683, 1, 0.316228], abs=1e-6)
    assert maps[2].tolist() == [0, 0, 0, 0]
    legacy = similarity_map(found, (2, 2), legacy_view=True)[0].flatten().tolist()
    expected = [1, 0.894427, 0, 0.707107, 0.948683, 0, 0.894427, 1, 0, 0.707107, 0.316228, 0]
    assert legacy == pytest.approx(expected, abs=1e-6)
