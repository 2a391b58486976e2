"""Files that a stage's config names: their content counts in its id, and its process may read them.

Whatever names a file - a list of samples in a task, a parameter that a user typed - is found in one
place, hashed by content and granted by path: another file of the same name is another stage, the
same file elsewhere is the same one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sfda_bench.errors import BenchError
from sfda_bench.plan.identity import VOLATILE_KEYS, VOLATILE_TOP
from sfda_bench.store.runs import sha256_file

PREFIX = 'file://'
#: Top-level parts whose strings are names, places of the harness or shown to people.
SKIPPED = VOLATILE_TOP | {'stage', 'train_cfg', 'test_cfg', 'randomness', 'param_scheduler'}
#: Parts that a user's parameters go to: a folder there could not be hashed.
PARAMETERS = ('model', 'test_evaluator', 'custom_hooks')


def symbolic(config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The config with ``file://<SHA-256>`` for every file it names, and the files by that name.

    A string is a file if it is the path of one: it has a separator or a suffix (``prior.npy``,
    ``./prior``), so that no word of a config becomes a file by chance.

    Raises:
        BenchError: A parameter is a folder, or a file cannot be read.
    """
    found: dict[str, str] = {}
    out = {
        key: value if key in SKIPPED else _symbolic(value, found, key in PARAMETERS)
        for key, value in config.items()
    }
    return out, found


def _symbolic(value: Any, found: dict[str, str], parameter: bool) -> Any:
    if isinstance(value, Mapping):
        return {
            k: v if k in VOLATILE_KEYS else _symbolic(v, found, parameter) for k, v in value.items()
        }
    if isinstance(value, (list, tuple)):
        return type(value)(_symbolic(item, found, parameter) for item in value)
    if isinstance(value, str) and _is_path(value):
        path = Path(value).expanduser()
        if parameter and path.is_absolute() and path.is_dir():
            raise BenchError(f'{value} is a folder', 'a file: what a folder holds has no identity')
        if path.is_file():
            return _named(path, found)
    return value


def _is_path(value: str) -> bool:
    # a stage's results and files named before are symbols already; a long text is none
    if '://' in value or len(value) > 4096 or '\0' in value or '\n' in value:
        return False
    return '/' in value or bool(Path(value).suffix)


def _named(path: Path, found: dict[str, str]) -> str:
    try:
        name = PREFIX + sha256_file(path)
    except OSError as error:
        raise BenchError(f'{path} cannot be read: {error.strerror}', 'a readable file') from None
    found[name] = str(path.resolve())
    return name


def folders_of(data_root: Path) -> list[Path]:
    """The data root and each data set in it, where they really are."""
    inside = data_root.iterdir() if data_root.is_dir() else ()
    return [data_root.resolve(), *(folder.resolve() for folder in inside)]


def grantable(paths: Iterable[str], roots: Iterable[Path]) -> list[str]:
    """Those of the named files that a process may read, sorted.

    Of the data only lists: a parameter that names an image or a label opens nothing.

    Args:
        paths: The files.
        roots: See :func:`folders_of`.
    """
    roots = list(roots)
    return sorted(
        path
        for path in paths
        if Path(path).suffix in ('.txt', '.lst')
        or not any(Path(path).is_relative_to(root) for root in roots)
    )


def concrete(value: Any, found: Mapping[str, str]) -> Any:
    """``value`` with the paths back in place, now absolute."""
    if isinstance(value, Mapping):
        return {k: concrete(v, found) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(concrete(item, found) for item in value)
    return found.get(value, value) if isinstance(value, str) else value
