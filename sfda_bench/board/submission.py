"""Prediction archives for the Cityscapes and ACDC test servers, with a self-check.

Cityscapes (cityscapesscripts, ``evalPixelLevelSemanticLabeling``): one single-channel PNG an image,
2048 x 1024, *label ids*, name starting with ``<city>_<sequence>_<frame>``. ACDC (as the DAFormer
line submits): *train ids*, 1920 x 1080, in a folder ``labelTrainIds``, named as the image.
"""

from __future__ import annotations

import contextlib
import io
import re
import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from sfda_bench.atomic import write_with
from sfda_bench.errors import BenchError, require_known
from sfda_bench.labels import CITYSCAPES_TRAIN_TO_ID, IGNORE
from sfda_bench.reading import (
    DAMAGE,
    first_line,
    looks_like,
    read_bytes,
    read_start,
    require_folder,
)

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
        BenchError: It is no PNG or a damaged one, has channels, or values that are no train ids
            (label ids, colours).
    """
    expected = 'a PNG with one channel of train ids (L or P)'
    try:
        mode, labels = _decode(read_bytes(path, expected))
    except DECODING as error:
        fix = 'write this prediction again'
        raise BenchError(f'{path} cannot be decoded: {first_line(error)}', expected, fix) from None
    if mode not in ('L', 'P'):
        raise BenchError(f'{path} has mode {mode}', expected, 'save train ids, not colours')
    strange = sorted(set(np.unique(labels).tolist()) - {*range(TRAIN_IDS), IGNORE})
    if strange:
        raise BenchError(
            f'{path} holds {strange[:5]}',
            'train ids 0..18 and 255',
            'save train ids, not label ids',
        )
    return labels


#: What damaged images raise in Pillow.
DECODING = (OSError, *DAMAGE, Image.DecompressionBombError)


def _decode(data: bytes) -> tuple[str, np.ndarray]:
    """Mode and pixels of an image, all of it decoded; one of :data:`DECODING` if it is damaged."""
    other = looks_like(data)
    if other:
        raise ValueError(other)
    try:
        with Image.open(io.BytesIO(data), formats=['PNG']) as image:
            image.verify()  # the checksums, which decoding passes over
        with Image.open(io.BytesIO(data), formats=['PNG']) as image:
            return image.mode, np.asarray(image)
    except UnidentifiedImageError:
        raise ValueError('it is no PNG, or its start is damaged') from None


def expected_text(server_name: str, split: str) -> str:
    """What a server takes, in words."""
    server = SERVERS[server_name]
    width, height = server.size
    kind = 'label ids' if server_name == 'cityscapes' else 'train ids'
    member = server.member('<sample id>')
    return f'{server.images[split]} PNG files {member}, {width} x {height}, one channel of {kind}'


def export(
    server_name: str,
    predictions: Path,
    out: Path,
    split: str = 'test',
    expected: Sequence[str] | None = None,
) -> list[str]:
    """Write the archive aside, check it, and put it in place.

    An archive that is there is replaced only by one without problems.

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
    wanted = 'one <sample id>.png an image, with train ids'
    fix = 'a score stage keeps its predictions in runs/<id>/predictions'
    require_folder(predictions, f'a folder: {wanted}', fix)
    files = [p for p in sorted(Path(predictions).glob('*.png')) if not p.name.startswith('.')]
    if not files:
        raise BenchError(f'no PNG files in {predictions}', wanted, fix)
    if Path(out).is_dir():
        raise BenchError(f'{out} is a folder', 'the path of a zip file', '--out NAME.zip')
    problems: list[str] = []

    def write(aside: Path) -> None:
        _pack(server, files, aside)
        problems.extend(check(server_name, aside, split, expected))
        if problems and Path(out).exists():
            raise _KeptError

    with contextlib.suppress(_KeptError):
        write_with(Path(out), write)
    return problems


class _KeptError(Exception):
    """The archive that is there stays."""


def _pack(server: Server, files: Sequence[Path], out: Path) -> None:
    with zipfile.ZipFile(out, 'w', zipfile.ZIP_STORED) as archive:
        for path in files:
            sample_id = re.sub(r'(_leftImg8bit|_rgb_anon)$', '', path.stem)
            buffer = io.BytesIO()
            Image.fromarray(server.encode[read_prediction(path)]).save(buffer, 'PNG', optimize=True)
            # A fixed date: the same predictions give the same archive.
            info = zipfile.ZipInfo(server.member(sample_id), (1980, 1, 1, 0, 0, 0))
            archive.writestr(info, buffer.getvalue())


def check(
    server_name: str, archive: Path, split: str = 'test', expected: Sequence[str] | None = None
) -> list[str]:
    """What the server would object to in an archive: names, number, sizes, values.

    Entries of folders, as ``zip -r`` adds them, are passed over.

    Raises:
        BenchError: There is no such archive, or it is no zip file.
    """
    server = SERVERS[require_known('server', server_name, SERVERS)]
    shape = re.escape(server.folder) + f'({server.pattern})' + r'[^/]*\.png'
    found, seen = [], []
    with _opened(archive) as bundle:
        for name in (info.filename for info in bundle.infolist() if not info.is_dir()):
            match = re.fullmatch(shape, name)
            if match is None:
                found.append(f'{name}: not named {server.member("<" + server.pattern + ">")}')
                continue
            seen.append(match[1])
            found += _check_member(bundle, name, server)
    return found + _check_ids(seen, expected, server.images[split], split)


def _opened(archive: Path) -> zipfile.ZipFile:
    expected, fix = 'a zip file', 'python tools/export_submission.py without --check writes one'
    other = looks_like(read_start(archive, expected, fix))
    try:
        if other:
            raise zipfile.BadZipFile(other)
        return zipfile.ZipFile(archive)
    except DAMAGE as error:
        raise BenchError(
            f'{archive} cannot be read as a zip file: {first_line(error)}', expected, fix
        ) from None


def _check_member(bundle: zipfile.ZipFile, name: str, server: Server) -> list[str]:
    try:
        mode, labels = _decode(bundle.read(name))
    except DECODING as error:
        return [f'{name}: cannot be decoded: {first_line(error)}, a whole PNG expected']
    if mode not in ('L', 'P'):
        return [f'{name}: mode {mode}, one channel expected']
    found, size = [], labels.shape[::-1]
    if size != server.size:
        found.append(f'{name}: {size} pixels, {server.size} expected')
    strange = sorted(set(np.unique(labels).tolist()) - server.values)
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
    return {name for name, times in Counter(names).items() if times > 1}
