"""The one reader of lists of images: text files with a sample a line, however they were written."""

from __future__ import annotations

import codecs
import difflib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from sfda_bench.errors import DataError

#: Marks at the start of a text that say how it is encoded; the longer ones first.
_MARKS = (
    (codecs.BOM_UTF32_LE, 'utf-32'), (codecs.BOM_UTF32_BE, 'utf-32'),
    (codecs.BOM_UTF8, 'utf-8-sig'),
    (codecs.BOM_UTF16_LE, 'utf-16'), (codecs.BOM_UTF16_BE, 'utf-16'),
)  # fmt: skip
_IMAGES = ('.png', '.jpg', '.jpeg')


def read_list(path: Path | str) -> list[str]:
    """Names of the samples in a list file, in its order.

    A line is a sample id, the path of an image, or the paths of an image and its label (as SegNet
    publishes them), of which the file name without suffix counts. Byte-order marks, UTF-16, any
    line ending, blank lines and lines that begin with ``#`` are understood.

    Raises:
        DataError: The file is missing, unreadable, not text, empty, or names a sample twice.
    """
    path = Path(path)
    names = [_name(line) for line in _lines(path)]
    if not names:
        raise DataError(f'{path} names no sample', 'one sample id a line')
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise DataError(
            f'{path} names {len(twice)} samples twice: {", ".join(twice[:3])}',
            'each sample once: a repeated image would count double',
            f'sort -u {path} > FILE',
        )
    return names


def _lines(path: Path) -> list[str]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(
            f'no list {path}: {error.strerror}', 'a text file with one sample id a line'
        ) from None
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), 'utf-8')
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(
            f'{path} is not text: {error.reason} at byte {error.start}', 'UTF-8'
        ) from None
    if '\0' in text:
        raise DataError(f'{path} is not text, or UTF-16 without a byte-order mark', 'UTF-8')
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith('#')]


def _name(line: str) -> str:
    """The sample id that a line stands for."""
    parts = line.split()
    if len(parts) == 2 and all(part.lower().endswith(_IMAGES) for part in parts):
        line = parts[0]
    if '/' in line or '\\' in line or line.lower().endswith(_IMAGES):
        name = PurePosixPath(line.replace('\\', '/')).name
        suffix = next((s for s in _IMAGES if name.lower().endswith(s)), '')
        return name[: len(name) - len(suffix)]
    return line


def require_listed(names: Iterable[str], known: Iterable[str], path: Path | str) -> None:
    """Refuse a list that names samples which are not there.

    Raises:
        DataError: Names some of them, and the nearest that is there.
    """
    have = set(known)
    unknown = [name for name in names if name not in have]
    if not unknown:
        return
    near = difflib.get_close_matches(unknown[0], have, n=1, cutoff=0.5)
    raise DataError(
        f'{len(unknown)} ids of {path} are not in the split: {", ".join(sorted(unknown)[:5])}',
        f'sample ids such as {near[0] if near else min(have, default="(the split is empty)")}',
        f'mend {path}, or take it out of the task',
    )
