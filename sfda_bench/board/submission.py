"""Prediction archives for the Cityscapes and ACDC test servers, with a self-check.

Cityscapes (cityscapesscripts, ``evalPixelLevelSemanticLabeling``): one single-channel PNG an image,
2048 x 1024, *label ids*, name starting with ``<city>_<sequence>_<frame>``. ACDC (as the DAFormer
line submits): *train ids*, 1920 x 1080, in a folder ``labelTrainIds``, named as the image.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from sfda_bench.errors import BenchError, require_known
from sfda_bench.labels import CITYSCAPES_TRAIN_TO_ID, IGNORE

TRAIN_IDS = len(CITYSCAPES_TRAIN_TO_ID)


@dataclass(frozen=True)
class Server:
    """What a test server accepts.

    Attributes:
        size: (width, height) of every prediction.
        pattern: What a sample id looks like.
        folder, suffix: A member is named ``<folder><sample id><suffix>``.
        encode: (256,) train id -> submitted value.
        images: Number of images of each split.
    """

    name: str
    size: tuple[int, int]
    pattern: str
    folder: str
    suffix: str
    encode: np.ndarray
    images: dict[str, int]

    @property
    def values(self) -> set[int]:
        """Values a prediction may hold."""
        return set(self.encode.tolist())

    def member(self, sample_id: str) -> str:
        """Name in the archive."""
        return f'{self.folder}{sample_id}{self.suffix}'


def _label_ids() -> np.ndarray:
    table = np.zeros(256, np.uint8)  # void -> 0 (unlabeled): scored as an error, as it must be
    table[:TRAIN_IDS] = CITYSCAPES_TRAIN_TO_ID
    return table


def _train_ids() -> np.ndarray:
    table = np.full(256, IGNORE, np.uint8)
    table[:TRAIN_IDS] = np.arange(TRAIN_IDS)
    return table


SERVERS = {
    'cityscapes': Server(
        'cityscapes', (2048, 1024), r'[a-z-]+_\d{6}_\d{6}', '', '_pred_labelIds.png',
        _label_ids(), {'test': 1525, 'val': 500},
    ),
    'acdc': Server(
        'acdc', (1920, 1080), r'\w+_frame_\d{6}', 'labelTrainIds/', '_rgb_anon.png',
        _train_ids(), {'test': 2000, 'val': 406},
    ),
}  # fmt: skip


def read_prediction(path: Path) -> np.ndarray:
    """(H, W) uint8 train ids of a prediction PNG (grey or palette, 255 = void).

    Raises:
        BenchError: It has channels, or values that are no train ids (label ids, colours).
    """
    with Image.open(path) as image:
        if image.mode not in ('L', 'P'):
            raise BenchError(f'{path} has mode {image.mode}', 'one channel of train ids (L or P)')
        labels = np.asarray(image).astype(np.uint8)
    strange = sorted(set(np.unique(labels).tolist()) - {*range(TRAIN_IDS), IGNORE})
    if strange:
        raise BenchError(
            f'{path} holds {strange[:5]}',
            'train ids 0..18 and 255',
            'save train ids, not label ids',
        )
    return labels


def export(
    server_name: str,
    predictions: Path,
    out: Path,
    split: str = 'test',
    expected: Sequence[str] | None = None,
) -> list[str]:
    """Write the archive and check it.

    Args:
        server_name: ``cityscapes`` or ``acdc``.
        predictions: Folder of ``<sample id>.png`` with train ids.
        out: The zip file.
        split: Split of the benchmark.
        expected: Sample ids that must be there; by default only their number is checked.

    Returns:
        The problems the self-check found; an archive with problems would be refused.
    """
    server = SERVERS[require_known('server', server_name, SERVERS)]
    require_known(f'split of {server_name}', split, server.images)
    files = sorted(Path(predictions).glob('*.png'))
    if not files:
        raise BenchError(
            f'no PNG files in {predictions}',
            'one <sample id>.png an image, with train ids',
            'a score stage keeps its predictions in runs/<id>/predictions',
        )
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(out, 'w', zipfile.ZIP_STORED) as archive:
        for path in files:
            sample_id = re.sub(r'(_leftImg8bit|_rgb_anon)$', '', path.stem)
            buffer = io.BytesIO()
            Image.fromarray(server.encode[read_prediction(path)]).save(buffer, 'PNG', optimize=True)
            # A fixed date: the same predictions give the same archive.
            info = zipfile.ZipInfo(server.member(sample_id), (1980, 1, 1, 0, 0, 0))
            archive.writestr(info, buffer.getvalue())
    return check(server_name, out, split, expected)


def check(
    server_name: str, archive: Path, split: str = 'test', expected: Sequence[str] | None = None
) -> list[str]:
    """What the server would object to in an archive: names, number, sizes, values."""
    server = SERVERS[require_known('server', server_name, SERVERS)]
    shape = re.escape(server.folder) + f'({server.pattern})' + r'[^/]*\.png'
    found, seen = [], []
    with zipfile.ZipFile(archive) as bundle:
        for name in bundle.namelist():
            match = re.fullmatch(shape, name)
            if match is None:
                found.append(f'{name}: not named {server.member("<" + server.pattern + ">")}')
                continue
            seen.append(match[1])
            found += _check_image(name, bundle.read(name), server)
    return found + _check_ids(seen, expected, server.images[split], split)


def _check_image(name: str, data: bytes, server: Server) -> list[str]:
    with Image.open(io.BytesIO(data)) as image:
        if image.mode not in ('L', 'P'):
            return [f'{name}: mode {image.mode}, one channel expected']
        found = []
        if image.size != server.size:
            found.append(f'{name}: {image.size} pixels, {server.size} expected')
        strange = sorted(set(np.unique(np.asarray(image)).tolist()) - server.values)
    if strange:
        found.append(f'{name}: values {strange[:5]} are no ids of the {server.name} server')
    return found


def _check_ids(
    seen: Sequence[str], expected: Sequence[str] | None, number: int, split: str
) -> list[str]:
    found = [f'{name}: more than one prediction' for name in sorted(_twice(seen))]
    if expected is None:
        if len(set(seen)) != number:
            found.append(f'{len(set(seen))} predictions, {number} expected for {split}')
        return found
    missing = sorted(set(expected) - set(seen))
    extra = sorted(set(seen) - set(expected))
    if missing:
        found.append(f'{len(missing)} images without a prediction, e.g. {missing[0]}')
    if extra:
        found.append(f'{len(extra)} predictions of no image, e.g. {extra[0]}')
    return found


def _twice(names: Sequence[str]) -> set[str]:
    seen: set[str] = set()
    return {name for name in names if name in seen or seen.add(name)}  # type: ignore[func-returns-value]
