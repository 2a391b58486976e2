"""Where the images and labels of each data set lie, as its makers publish it. No torch here.

Everything that lists files goes through :func:`list_split`. Without labels it does not touch the
label folder at all, so that a process which may read images only can use it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from sfda_bench.data.catalogue import ACDC_CONDITION_COUNTS, CONDITIONS, LAYOUTS, Layout, Sample
from sfda_bench.data.lists import read_list
from sfda_bench.errors import DataError, require_known

__all__ = [
    'ACDC_CONDITION_COUNTS',
    'CONDITIONS',
    'LAYOUTS',
    'Layout',
    'Sample',
    'find_root',
    'get_layout',
    'image_dirs',
    'label_dirs',
    'label_encoding',
    'list_split',
    'missing_message',
    'require_root',
    'resolve_conditions',
]


def get_layout(dataset: str) -> Layout:
    """Return the layout of a data set name; unknown names get a did-you-mean."""
    require_known('data set', dataset, LAYOUTS)
    return LAYOUTS[dataset]


def find_root(data_root: str | Path, folder: str) -> Path | None:
    """Return the folder of a data set below ``data_root``, under its name or an alias, or None."""
    layout = LAYOUTS.get(folder)
    for name in (folder, *(layout.aliases if layout else ())):
        path = Path(data_root) / name
        if path.is_dir():
            return path
    return None


def missing_message(
    datasets: Iterable[str], data_root: str | Path | None, task: str = ''
) -> DataError | None:
    """Return one error that names every missing data set of ``datasets``, or None if none is.

    For each: the layout expected and where to get it. ``data_root=None`` means none was given.
    """
    wanted = list(dict.fromkeys(datasets))
    missing = [n for n in wanted if data_root is None or find_root(data_root, n) is None]
    if not missing:
        return None
    where = 'no data root was given' if data_root is None else f'data root {data_root}'
    found = f'missing data: {", ".join(missing)}' + (f' for {task}' if task else '') + f' ({where})'
    lines = []
    for name in missing:
        layout = get_layout(name)
        lines += [f'{layout.title}: {", ".join(f"{k} {v}" for k, v in layout.counts.items())}']
        lines += [f'    <data root>/{line}' for line in layout.tree]
        lines += [f'    get it from {layout.url}']
    expected = '\n  '.join(lines)
    fix = (
        'put or link them there, pass --data-root DIR or set SFDA_DATA_ROOT, then check with '
        '`python tools/prepare_data.py doctor`'
    )
    return DataError(found, expected, fix)


def require_root(data_root: str | Path | None, folder: str) -> Path:
    """Return the folder of a data set, or raise the :class:`DataError` that says how to get it."""
    error = missing_message([folder], data_root)
    if error is not None:
        raise error
    root = find_root(data_root or '', folder)
    if root is None:  # pragma: no cover - missing_message has just found it
        raise DataError(f'{folder} vanished from {data_root}')
    return root


def resolve_conditions(dataset: str, conditions: Sequence[str] | None) -> tuple[str, ...]:
    """Return the conditions to read, ``('',)`` for data sets without."""
    layout = get_layout(dataset)
    if not layout.conditions:
        if conditions:
            raise DataError(f'{dataset} has no conditions, got {list(conditions)}')
        return ('',)
    for condition in conditions or ():
        require_known('condition', condition, layout.conditions)
    return tuple(conditions or layout.conditions)


def image_dirs(
    dataset: str, root: str | Path, split: str, conditions: Sequence[str] | None = None
) -> list[Path]:
    """Return the folders (and list files) which a process may read to see a split's images only."""
    layout, root = get_layout(dataset), Path(root)
    parts = resolve_conditions(dataset, conditions)
    dirs = [root / layout.images(split, c) for c in parts]
    list_file = _list_file(dataset, root, split)
    return [*dirs, list_file] if list_file else dirs


def label_dirs(
    dataset: str, root: str | Path, split: str, conditions: Sequence[str] | None = None
) -> list[Path]:
    """Return the folders that hold the labels of a split."""
    layout = get_layout(dataset)
    parts = resolve_conditions(dataset, conditions)
    return [Path(root) / layout.labels(split, c) for c in parts]


def _list_file(dataset: str, root: Path, split: str) -> Path | None:
    """Return CamVid's list of a split if it is there."""
    path = root / f'{split}.txt'
    return path if dataset == 'camvid' and path.is_file() else None


def _walk(folder: Path, suffix: str, recursive: bool) -> list[Path]:
    """Return the files below ``folder`` that end in ``suffix``, sorted by relative path."""
    found: list[str] = []
    stack = [str(folder)]
    while stack:
        with os.scandir(stack.pop()) as entries:
            for entry in entries:
                if entry.name.endswith(suffix) and not entry.name.startswith('.'):
                    found.append(entry.path)
                elif recursive and entry.is_dir():
                    stack.append(entry.path)
    return [Path(p) for p in sorted(found)]


def _image_files(layout: Layout, root: Path, split: str, condition: str) -> list[Path]:
    folder = root / layout.images(split, condition)
    if not folder.is_dir():
        raise DataError(
            f'{layout.title}: no folder {folder}',
            '\n  '.join(layout.tree),
            f'get it from {layout.url}',
        )
    list_file = _list_file(layout.name, root, split)
    if list_file is None:
        if split not in layout.counts:
            raise DataError(f'{layout.title}: no list {root / (split + ".txt")}')
        return _walk(folder, layout.image_suffix, layout.recursive)
    return [folder / f'{name}{layout.image_suffix}' for name in sorted(read_list(list_file))]


def _condition_of(layout: Layout, condition: str, sample_id: str) -> str:
    if layout.name == 'camvid':  # sequence 0001TP was filmed at dusk, all others by day
        return 'dusk' if sample_id.startswith('0001TP') else 'day'
    return condition


def label_encoding(
    dataset: str, root: str | Path, samples: Sequence[tuple[Path, str]], encoding: str = 'auto'
) -> tuple[str, str]:
    """Return (encoding, suffix) of the labels that lie beside ``samples``.

    Args:
        dataset: Name of the data set.
        root: Its folder, for messages.
        samples: Pairs (label folder of an image, sample id).
        encoding: ``'auto'`` takes label ids if present (the official files), else train ids.
    """
    layout = get_layout(dataset)
    choices = dict(layout.label_suffixes)
    if encoding != 'auto':
        require_known('label encoding', encoding, choices)
        return encoding, choices[encoding]
    if len(choices) > 1:
        for folder, sample_id in samples[:3]:
            for name, suffix in choices.items():
                if (folder / f'{sample_id}{suffix}').is_file():
                    return name, suffix
    return layout.label_suffixes[0]


def list_split(
    dataset: str,
    root: str | Path,
    split: str,
    conditions: Sequence[str] | None = None,
    labelled: bool = True,
    encoding: str = 'auto',
) -> list[Sample]:
    """Return the samples of a split, sorted by path within each condition.

    Args:
        dataset: Name of the data set, e.g. ``'cityscapes'``.
        root: Its folder (see :func:`find_root`).
        split: ``'train'``, ``'val'``, ``'test'``; for CamVid also the name of a list file.
        conditions: ACDC only; None means all four.
        labelled: False leaves ``label`` None and never touches the label folders.
        encoding: See :func:`label_encoding`.

    Raises:
        DataError: A folder is missing or holds no image.
    """
    layout, root = get_layout(dataset), Path(root)
    if dataset != 'camvid':
        require_known(f'split of {dataset}', split, layout.counts)
    samples: list[Sample] = []
    for condition in resolve_conditions(dataset, conditions):
        files = _image_files(layout, root, split, condition)
        if not files:
            raise DataError(
                f'{layout.title}: no *{layout.image_suffix} in '
                f'{root / layout.images(split, condition)}',
                '\n  '.join(layout.tree),
                f'get it from {layout.url}',
            )
        samples += _pair(layout, root, split, condition, files, labelled, encoding)
    return samples


def _pair(
    layout: Layout,
    root: Path,
    split: str,
    condition: str,
    files: list[Path],
    labelled: bool,
    encoding: str,
) -> list[Sample]:
    """Attach ids, conditions and (if ``labelled``) label paths to image files."""
    cut = len(layout.image_suffix)
    ids = [f.name[:-cut] for f in files]
    marks = [_condition_of(layout, condition, i) for i in ids]
    if not labelled:
        return [Sample(f, None, i, m) for f, i, m in zip(files, ids, marks, strict=True)]
    image_root, label_root = (
        root / layout.images(split, condition),
        root / layout.labels(split, condition),
    )
    if not label_root.is_dir():
        raise DataError(
            f'{layout.title}: no label folder {label_root}',
            '\n  '.join(layout.tree),
            f'get it from {layout.url}',
        )
    folders = [label_root / f.parent.relative_to(image_root) for f in files]
    _, suffix = label_encoding(layout.name, root, list(zip(folders, ids, strict=True)), encoding)
    return [
        Sample(f, d / f'{i}{suffix}', i, m)
        for f, d, i, m in zip(files, folders, ids, marks, strict=True)
    ]
