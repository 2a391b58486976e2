"""The outline of a world: same names, sizes and marker as the rendered one, and no pixels."""

from __future__ import annotations

import json

import pytest

from sfda_bench.pocket import skeleton
from sfda_bench.pocket.world import WorldSpec, ensure_pocket, is_complete, paths_of


def test_names_and_sizes_are_those_of_the_rendered_images(tmp_path):
    spec = WorldSpec()
    assert skeleton.lay_out(spec, tmp_path / 'outline')
    assert is_complete(tmp_path / 'outline', spec)
    few = {'gta5/train': 2, 'cityscapes/val': 2, 'acdc/val/night': 1, 'synthia/train': 1}
    ensure_pocket(tmp_path / 'rendered', WorldSpec(counts=few), workers=1)
    for part, number in few.items():
        for index in range(number):
            pairs = zip(
                paths_of(tmp_path / 'outline', part, index),
                paths_of(tmp_path / 'rendered', part, index),
                strict=True,
            )
            for laid, rendered in pairs:
                assert laid.stat().st_size == rendered.stat().st_size, rendered


def test_another_world_has_no_outline(tmp_path):
    assert not skeleton.lay_out(WorldSpec(seed=1), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_sizes_are_those_of_the_whole_world(tmp_path):
    ensure_pocket(tmp_path, WorldSpec())
    assert skeleton.measure(tmp_path, WorldSpec()) == json.loads(skeleton.SIZES.read_text())
