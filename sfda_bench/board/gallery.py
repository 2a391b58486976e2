"""Pictures for the site: image, truth and predictions of a few images a board.

Predictions are the PNG files of class ids that a score stage saves,
``runs/<score stage>/predictions/<sample id>.png``. What is chosen and copied goes to
``site/gallery/<board>/`` with an ``index.json``; the pages are built from that index alone, so
that they can be regenerated without data.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, ValidationError

from sfda_bench.atomic import write_folder
from sfda_bench.board.rows import Board, Row
from sfda_bench.data.decode import read_raw_label, to_train_ids
from sfda_bench.data.images import open_image
from sfda_bench.data.layout import label_encoding, list_split, require_root
from sfda_bench.errors import BenchError
from sfda_bench.labels import CAMVID_PALETTE, CITYSCAPES_PALETTE, IGNORE
from sfda_bench.plan import catalog
from sfda_bench.reading import DAMAGE, first_line, read_bytes, read_json
from sfda_bench.scoring.protocols import ScoringProtocol
from sfda_bench.store.filenames import PREDICTIONS
from sfda_bench.stream_ids import round_id

FOLDER = 'gallery'
INDEX = 'index.json'
SAMPLES = 8
WIDTH = 512
"""Pictures are not wider than this; label maps shrink without interpolation."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra='forbid', frozen=True)


class Picture(_Strict):
    """One image: its files relative to the gallery folder, and each method's mIoU on it."""

    sample_id: str
    condition: str
    image: str
    truth: str
    predictions: dict[str, str]
    miou: dict[str, float]


class Gallery(_Strict):
    """Pictures of one board; methods by title, the board's order."""

    schema_version: Literal[1] = 1
    board: str
    source: str | None
    methods: list[str]
    pictures: list[Picture]


@dataclass(frozen=True)
class Drawn:
    """A gallery that is not written yet: its index, and its files by name."""

    gallery: Gallery
    files: dict[str, bytes]


def load(site: Path, slug: str) -> Gallery | None:
    """The gallery of a board, or ``None`` if none was made.

    Raises:
        BenchError: Its index is damaged.
    """
    path = Path(site) / FOLDER / slug / INDEX
    if not path.exists() and not path.is_symlink():
        return None
    fix = f'restore {path.parent} from git, or delete it and make the gallery again'
    try:
        return Gallery.model_validate(read_json(path, 'the index of a gallery', fix))
    except ValidationError as error:
        raise BenchError(
            f'{path} is no index of a gallery: {first_line(error)}', 'schema 1', fix
        ) from None


def write(drawn: Drawn, site: Path) -> None:
    """Put a gallery in place of the one that is there, as a whole."""
    index = json.dumps(drawn.gallery.model_dump(), indent=1) + '\n'
    folder = Path(site) / FOLDER / drawn.gallery.board
    write_folder(folder, {**drawn.files, INDEX: index.encode()})


def palette_of(protocol: ScoringProtocol) -> Sequence[tuple[int, int, int]]:
    """Colours of the classes of a label space, in the order of ``protocol.labels``."""
    return CAMVID_PALETTE if protocol.label_space == 'camvid11' else CITYSCAPES_PALETTE


def legend(board: Board) -> list[tuple[str, str]]:
    """Name and CSS colour of every class in the pictures of a board."""
    protocol = board.rows[0].first.protocol
    colours = zip(protocol.labels, palette_of(protocol), strict=True)
    return [(name, f'rgb({red},{green},{blue})') for name, (red, green, blue) in colours]


def _predictions(row: Row, runs: Path) -> Path | None:
    """Folder of saved predictions of a row's first seed, or ``None``."""
    stages = row.first.record.stages
    scored = [stage.id for stage in stages if stage.kind == 'score']
    folder = Path(runs) / scored[-1] / PREDICTIONS if scored else None
    return folder if folder is not None and folder.is_dir() else None


def choose(rows: Sequence[Row], number: int = SAMPLES) -> list[int]:
    """Indices of the images on which the methods differ most (spread of image mIoU)."""
    values = np.stack([row.first.image_miou for row in rows])
    spread = values.max(axis=0) - values.min(axis=0)
    return sorted(np.argsort(-spread, kind='stable')[:number].tolist())


def _small(labels: np.ndarray) -> np.ndarray:
    step = -(-labels.shape[1] // WIDTH)
    return labels[::step, ::step]


def _label_png(labels: np.ndarray, palette: Sequence[tuple[int, int, int]]) -> bytes:
    image = Image.fromarray(_small(labels), 'P')
    colours = [channel for colour in palette for channel in colour]
    image.putpalette(colours + [0] * (768 - len(colours)))
    buffer = io.BytesIO()
    image.save(buffer, 'PNG', optimize=True)
    return buffer.getvalue()


def _photo(path: Path) -> bytes:
    image = Image.fromarray(open_image(path, 'pillow')[:, :, ::-1])
    if image.width > WIDTH:
        image = image.resize((WIDTH, round(image.height * WIDTH / image.width)))
    buffer = io.BytesIO()
    image.save(buffer, 'JPEG', quality=88)
    return buffer.getvalue()


def make(board: Board, site: Path, runs: Path, data_root: Path, number: int = SAMPLES) -> Drawn:
    """Choose images and draw them with truth and predictions; :func:`write` writes the result.

    Args:
        board: The board.
        site: Where the gallery will lie, and perhaps lies.
        runs: The store.
        data_root: Where the images are.
        number: How many images.

    Raises:
        BenchError: No row of the board has saved predictions, or one that the gallery shows now
            has none.
        DataError: The images of the task are not below ``data_root``.
    """
    rows = {row.title: row for row in board.rows if _predictions(row, runs)}
    _require_predictions(board, rows, load(site, board.key.slug), runs)
    task = catalog.load('tasks', board.key.task)['task']['target_val']
    root = require_root(data_root, task['folder'])
    samples = list_split(task['folder'], root, task['split'], task.get('conditions'))
    by_id = {sample.sample_id: sample for sample in samples}
    first = next(iter(rows.values())).first
    palette = palette_of(first.protocol)
    pictures, written = [], {}
    for index in choose(list(rows.values()), number):
        sample = by_id.get(first.ids[index])
        if sample is None:
            raise BenchError(
                f'{data_root} has no image {first.ids[index]}',
                f'the images that {first.path.name} was scored on',
                'pass their folder with --data-root',
            )
        if sample.label is None:
            continue
        pair = [(sample.label.parent, sample.sample_id)]
        encoding, _ = label_encoding(task['folder'], root, pair)
        truth = to_train_ids(read_raw_label(sample.label, encoding), encoding, sample.label)
        files = {'image.jpg': _photo(sample.image), 'truth.png': _label_png(truth, palette)}
        names = {}
        for place, (title, row) in enumerate(rows.items()):
            labels = _read(row, runs, sample.sample_id, truth)
            names[title] = f'{sample.sample_id}/{place:02d}.png'
            files[f'{place:02d}.png'] = _label_png(labels, palette)
        for name, data in files.items():
            written[f'{sample.sample_id}/{name}'] = data
        pictures.append(
            Picture(
                sample_id=sample.sample_id,
                condition=sample.condition,
                image=f'{sample.sample_id}/image.jpg',
                truth=f'{sample.sample_id}/truth.png',
                predictions=names,
                miou={t: round(float(r.first.image_miou[index]), 2) for t, r in rows.items()},
            )
        )
    source = next((title for title, row in rows.items() if row.bound and not row.gain), None)
    gallery = Gallery(
        board=board.key.slug, source=source, methods=list(rows), pictures=pictures
    )  # fmt: skip
    return Drawn(gallery, written)


def _require_predictions(
    board: Board, rows: Mapping[str, Row], there: Gallery | None, runs: Path
) -> None:
    """Refuse to draw nothing, or less than the gallery that is there."""
    wanted = {row.title: row for row in board.rows}
    lost = [title for title in (there.methods if there else []) if title in wanted]
    lost = [title for title in lost if title not in rows]
    if rows and not lost:
        return
    entry = board.rows[0].first.record.entry
    what = f'of {", ".join(lost)}, which the gallery shows now,' if lost else 'of any entry'
    raise BenchError(
        f'{board.key.slug}: no saved predictions {what} in {runs}; nothing was changed',
        '<runs>/<score stage>/predictions/<sample id>.png, which every score stage writes',
        f'python tools/run_suite.py --suite {entry.suite} --task {entry.task} '
        f'--runs {runs} --force score',
    )


def _read(row: Row, runs: Path, sample_id: str, truth: np.ndarray) -> np.ndarray:
    """A prediction with the pixels that are not scored blacked out, as they are in the truth."""
    folder = _predictions(row, runs)
    path = (folder or Path()) / f'{sample_id}.png'
    rounds = len(row.first.rounds)
    if folder is not None and rounds:
        # of a stream that showed the image several times, the last
        path = folder / f'{round_id(sample_id, rounds, rounds)}.png'
    fix = 'score the entry again'
    try:
        with Image.open(io.BytesIO(read_bytes(path, 'a saved prediction', fix))) as image:
            labels = np.asarray(image).astype(np.uint8)
    except (OSError, *DAMAGE) as error:
        raise BenchError(f'{path} is damaged: {first_line(error)}', 'a whole PNG', fix) from None
    if labels.shape != truth.shape:
        raise BenchError(f'{path} is {labels.shape}', f'{truth.shape}, the size of the label')
    return np.where(truth == IGNORE, IGNORE, labels).astype(np.uint8)
