"""The contact sheet: every look of a pocket world beside its label maps."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from sfda_bench.atomic import write_bytes
from sfda_bench.data.decode import decode_label
from sfda_bench.data.layout import list_split, require_root
from sfda_bench.labels import CITYSCAPES_CLASSES, CITYSCAPES_PALETTE, palette_image

_ROWS = (
    ('gta5', 'train', ''),
    ('synthia', 'train', ''),
    ('cityscapes', 'train', ''),
    ('acdc', 'train', 'fog'),
    ('acdc', 'train', 'night'),
    ('acdc', 'train', 'rain'),
    ('acdc', 'train', 'snow'),
)
_MARGIN, _TITLE, _LEGEND = 4, 14, 34


def contact_sheet(root: str | Path, columns: int = 4) -> bytes:
    """Return a PNG: one row a look, ``columns`` pictures each with its label map to the right."""
    rows = [_row(Path(root), *row, columns) for row in _ROWS]
    width = max(r.shape[1] for r in rows)
    height = sum(r.shape[0] + _TITLE + _MARGIN for r in rows) + _LEGEND
    sheet = Image.new('RGB', (width, height), 'white')
    draw = ImageDraw.Draw(sheet)
    top = 0
    for (dataset, _, condition), row in zip(_ROWS, rows, strict=True):
        draw.text((2, top + 1), f'{dataset} {condition}'.strip(), fill='black')
        sheet.paste(Image.fromarray(row), (0, top + _TITLE))
        top += row.shape[0] + _TITLE + _MARGIN
    _legend(draw, top, width)
    buffer = io.BytesIO()
    sheet.save(buffer, 'PNG', optimize=True)
    return buffer.getvalue()


def _row(root: Path, dataset: str, split: str, condition: str, columns: int) -> NDArray[np.uint8]:
    conditions = [condition] if condition else None
    samples = list_split(dataset, require_root(root, dataset), split, conditions)
    encoding = {'gta5': 'gta5', 'synthia': 'synthia'}.get(dataset, 'labelIds')
    parts: list[NDArray[np.uint8]] = []
    for sample in samples[:: max(len(samples) // columns, 1)][:columns]:
        with Image.open(sample.image) as image:
            picture = np.asarray(image.convert('RGB'))
        gap = np.full((picture.shape[0], _MARGIN, 3), 255, np.uint8)
        labels = palette_image(decode_label(str(sample.label), encoding))
        parts += [picture, labels, gap]
    return np.concatenate(parts[:-1], axis=1)


def _legend(draw: ImageDraw.ImageDraw, top: int, width: int) -> None:
    """Write the class names in their colours, in two lines."""
    half = (len(CITYSCAPES_CLASSES) + 1) // 2
    step = width // half
    for number, name in enumerate(CITYSCAPES_CLASSES):
        x, y = (number % half) * step, top + (number // half) * 16
        draw.rectangle((x, y + 2, x + 12, y + 12), fill=CITYSCAPES_PALETTE[number])
        draw.text((x + 16, y), name, fill='black')


def write_contact_sheet(root: str | Path, path: str | Path, columns: int = 4) -> None:
    """Write :func:`contact_sheet` to a file."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_bytes(Path(path), contact_sheet(root, columns))
