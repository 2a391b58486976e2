"""Names and sizes of a pocket world without its pixels: enough to plan, in a moment.

Stage ids rest on names and sizes of files, so a question such as ``status`` gets its answer before
anything is rendered. The sizes of the default world lie in ``sizes.json`` beside this file.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from sfda_bench.pocket import world
from sfda_bench.pocket.world import WorldSpec

SIZES = Path(__file__).with_name('sizes.json')


def sizes_of(spec: WorldSpec) -> dict[str, list[list[int]]] | None:
    """Bytes of each image's files by part, if they are known for this world.

    Args:
        spec: The world.

    Returns:
        ``{part: [[image, label, ...], ...]}``; ``None`` for another world or renderer.
    """
    known = json.loads(SIZES.read_text(encoding='utf-8'))
    return known['sizes'] if world.same(known['world'], world.marker_of(spec, True)) else None


def lay_out(spec: WorldSpec, root: str | Path) -> bool:
    """Write files without content, of the right names and sizes; returns whether they are known.

    Args:
        spec: The world.
        root: An empty folder.
    """
    sizes, root = sizes_of(spec), Path(root)
    if sizes is None:
        return False
    for part, index in spec.items():
        for path, size in zip(world.paths_of(root, part, index), sizes[part][index], strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open('wb') as file:
                os.truncate(file.fileno(), size)
    world.write_marker(root, spec, complete=True)
    return True


def measure(root: str | Path, spec: WorldSpec) -> dict:
    """What ``sizes.json`` holds, from a rendered world."""
    sizes: dict[str, list[list[int]]] = {}
    for part, index in spec.items():
        files = world.paths_of(Path(root), part, index)
        sizes.setdefault(part, []).append([path.stat().st_size for path in files])
    return {'world': world.marker_of(spec, True), 'sizes': sizes}


if __name__ == '__main__':
    found = measure(os.environ.get('POCKET_ROOT', 'data/pocket'), WorldSpec())
    SIZES.write_text(json.dumps(found, separators=(',', ':')) + '\n', encoding='utf-8')
