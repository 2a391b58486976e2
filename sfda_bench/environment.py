"""Checks that the installed MMSegmentation is whole and of one kind, before anything imports it.

There are the original packages (``mmsegmentation``, ``mmengine``, ``mmcv``) and their continuation
(``onedl-mmsegmentation`` and so on). Both install the same folders, so pip lets them overwrite each
other without a word, and removing one takes the other's files along.
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from sfda_bench.errors import BenchError

#: The folder of each package, with a file that a broken installation lacks.
_FOLDERS = {
    'mmengine': 'runner/runner.py',
    'mmcv': 'transforms/loading.py',
    'mmsegmentation': 'models/segmentors/encoder_decoder.py',
}
_IMPORTED = {'mmsegmentation': 'mmseg'}
_ORIGINAL = {'mmengine': ('mmengine',), 'mmcv': ('mmcv', 'mmcv-lite', 'mmcv-full')}
_EXPECTED = 'onedl-mmsegmentation, onedl-mmengine and onedl-mmcv, and no others of their kind'
_FIX = 'a fresh environment: make install, or python -m venv ENV && ENV/bin/pip install sfda_bench'


def check_environment() -> None:
    """Refuse an environment in which MMSegmentation is missing, mixed or broken.

    Raises:
        BenchError: In one line: what was found, and how to get a sound one.
    """
    for name, file in _FOLDERS.items():
        continued = _installed(f'onedl-{name}')
        original = [f for n in _ORIGINAL.get(name, (name,)) if (f := _installed(n)) is not None]
        if original:
            both = [*original, *([continued] if continued else [])]
            found = ' and '.join(f'{each.name} {each.version}' for each in both)
            mixed = f'{found} in one environment' if continued else f'{found}, the original'
            raise BenchError(mixed, _EXPECTED, _FIX)
        if continued is None:
            raise BenchError(f'onedl-{name} is not installed', _EXPECTED, _FIX)
        package = Path(str(continued.locate_file(_IMPORTED.get(name, name))))
        if not (package / file).is_file():
            raise BenchError(
                f'onedl-{name} {continued.version} without its {package.name}/{file}: another '
                'package of its kind was removed',
                _EXPECTED,
                _FIX,
            )


def _installed(name: str) -> metadata.Distribution | None:
    try:
        return metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return None
