"""The pocket world: which scenes it has, rendering what is missing of it, its marker file."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path

from filelock import FileLock

from sfda_bench import interrupts
from sfda_bench.atomic import write_text
from sfda_bench.data.catalogue import CONDITIONS
from sfda_bench.errors import BenchError, require_known
from sfda_bench.pocket.develop import develop, shrink_labels
from sfda_bench.pocket.formats import file_names, write_sample
from sfda_bench.pocket.looks import LOOKS
from sfda_bench.pocket.noise import Draws
from sfda_bench.pocket.scene import paint_scene

RENDERER = 2
"""Version of the renderer: raised whenever the same seed would give other pixels."""
MARKER = 'pocket.json'
_SUPERSAMPLED_UP_TO = 400
_BATCH = 8

DEFAULT_COUNTS: dict[str, int] = {
    'gta5/train': 200,
    'synthia/train': 200,
    'cityscapes/train': 120,
    'cityscapes/val': 40,
    **{f'acdc/train/{c}': 30 for c in CONDITIONS},
    **{f'acdc/val/{c}': 15 for c in CONDITIONS},
}
"""Images of each part of the default world, ``data set/split[/condition]``."""


@dataclass(frozen=True)
class WorldSpec:
    """What decides every byte of a pocket world.

    Attributes:
        size: (height, width) of all images.
        seed: World seed; every part and image has its own stream below it.
        counts: Images of each part, see :data:`DEFAULT_COUNTS`.
    """

    size: tuple[int, int] = (96, 192)
    seed: int = 0
    counts: Mapping[str, int] = field(default_factory=lambda: dict(DEFAULT_COUNTS))

    def __post_init__(self) -> None:
        for part, count in self.counts.items():
            require_known('part of the pocket world', part, DEFAULT_COUNTS)
            if count < 0:
                raise BenchError(f'{part}: {count} images', '0 or more')
        if min(self.size) < 16:
            raise BenchError(f'size {self.size[0]}x{self.size[1]}', 'HxW of at least 16x16')

    def items(self) -> Iterator[tuple[str, int]]:
        """Yield (part, index) of every image."""
        for part, count in self.counts.items():
            for index in range(count):
                yield part, index


Progress = Callable[[int, int], None]
"""Called with (images done, images to render)."""


def split_part(part: str) -> tuple[str, str, str]:
    """Return (data set, split, condition) of a part name."""
    dataset, split, *rest = part.split('/')
    return dataset, split, rest[0] if rest else ''


def render(spec: WorldSpec, root: str | Path, part: str, index: int) -> None:
    """Render one image with its labels into its place below ``root``."""
    dataset, split, condition = split_part(part)
    look = LOOKS[condition or dataset]
    draws = Draws(spec.seed, part, index)
    height, width = spec.size
    ss = 2 if height <= _SUPERSAMPLED_UP_TO else 1
    canvas, camera = paint_scene(look, draws, height * ss, width * ss)
    picture = develop(canvas, camera, look, draws, ss)
    ids, lane = shrink_labels(canvas.ids, ss), shrink_labels(canvas.lane, ss)
    write_sample(Path(root) / dataset, dataset, split, condition, index, picture, ids, lane)


def read_marker(root: str | Path) -> dict | None:
    """Return the marker of a pocket world, None if there is none or it cannot be read."""
    try:
        return json.loads((Path(root) / MARKER).read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return None


def is_complete(root: str | Path, spec: WorldSpec | None = None) -> bool:
    """Return whether ``root`` holds a completely rendered world (of ``spec``)."""
    marker = read_marker(root)
    if not marker or not marker.get('complete'):
        return False
    return spec is None or same(marker, marker_of(spec, True))


def ensure_pocket(
    root: str | Path,
    spec: WorldSpec | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> int:
    """Render what is missing or stale of a pocket world; return how many images were rendered.

    Another seed, size or renderer version renders everything anew; other counts add or remove.

    Args:
        root: Folder of the world; created if needed. A folder with other things in it is refused.
        spec: What to render; None for the default world.
        workers: Processes; None for all cores, 1 to stay in this process.
        progress: Called after every few images.
    """
    spec, root = spec or WorldSpec(), Path(root)
    if is_complete(root, spec):
        return 0
    _refuse_foreign(root)
    root.mkdir(parents=True, exist_ok=True)
    with FileLock(root / '.pocket.lock'):
        if is_complete(root, spec):
            return 0
        _remove_stale(root, spec)
        write_marker(root, spec, complete=False)
        missing = [item for item in spec.items() if not _present(root, *item)]
        _render_all(spec, root, missing, workers or os.cpu_count() or 1, progress)
        write_marker(root, spec, complete=True)
    return len(missing)


def marker_of(spec: WorldSpec, complete: bool) -> dict:
    """What the marker of a world says."""
    values = asdict(spec)
    values['size'] = list(spec.size)
    values['counts'] = {k: v for k, v in sorted(spec.counts.items()) if v}
    return {'kind': 'pocket world', 'renderer': RENDERER, **values, 'complete': complete}


def same(marker: dict, wanted: dict) -> bool:
    """Whether a marker is that of the wanted world and renderer."""
    return all(marker.get(key) == wanted[key] for key in ('renderer', 'seed', 'size', 'counts'))


def write_marker(root: Path, spec: WorldSpec, complete: bool) -> None:
    """Write the marker of a world into its folder."""
    write_text(root / MARKER, json.dumps(marker_of(spec, complete), indent=2) + '\n')


def _refuse_foreign(root: Path) -> None:
    """Raise if ``root`` holds data sets that this renderer did not write."""
    if not root.is_dir() or (root / MARKER).is_file():
        return
    others = sorted(p.name for p in root.iterdir() if not p.name.startswith('.'))
    if others:
        raise BenchError(
            f'{root} holds {", ".join(others[:5])} but no {MARKER}',
            'an empty or new folder, or a pocket world',
            'choose another --out; real data are never overwritten',
        )


def _remove_stale(root: Path, spec: WorldSpec) -> None:
    """Delete what was rendered otherwise, and images beyond the counts wanted."""
    marker = read_marker(root)
    wanted = marker_of(spec, False)
    datasets = {split_part(part)[0] for part in DEFAULT_COUNTS}
    if marker is None or any(marker.get(k) != wanted[k] for k in ('renderer', 'seed', 'size')):
        for dataset in datasets:
            shutil.rmtree(root / dataset, ignore_errors=True)
        return
    keep = {path for item in spec.items() for path in paths_of(root, *item)}
    for dataset in datasets:
        for path in (root / dataset).rglob('*.png'):
            if path not in keep:
                path.unlink()


def paths_of(root: Path, part: str, index: int) -> list[Path]:
    """Files of an image: itself, then its labels."""
    dataset, split, condition = split_part(part)
    image, labels = file_names(dataset, split, condition, index)
    return [root / dataset / name for name in (image, *labels)]


def _present(root: Path, part: str, index: int) -> bool:
    return all(path.is_file() for path in paths_of(root, part, index))


def _render_all(
    spec: WorldSpec,
    root: Path,
    items: list[tuple[str, int]],
    workers: int,
    progress: Progress | None,
) -> None:
    batches = [items[i : i + _BATCH] for i in range(0, len(items), _BATCH)]
    done = 0
    for count in _run(spec, root, batches, min(workers, len(batches))):
        done += count
        if progress is not None:
            progress(done, len(items))


def _run(
    spec: WorldSpec, root: Path, batches: list[list[tuple[str, int]]], workers: int
) -> Iterable[int]:
    if workers <= 1:
        for batch in batches:
            yield _render_batch(spec, root, batch)
        return
    # Not the fork server: its one instance belongs to the suite's stages and their imports.
    context = multiprocessing.get_context('spawn')
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        with interrupts.own():
            jobs = [pool.submit(_render_batch, spec, root, batch) for batch in batches]
        with interrupts.cancelling(pool):
            for job in as_completed(jobs):
                yield job.result()


def _render_batch(spec: WorldSpec, root: Path, batch: list[tuple[str, int]]) -> int:
    for part, index in batch:
        render(spec, root, part, index)
    return len(batch)
