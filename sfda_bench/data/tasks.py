"""Task configs as the data room needs them: which splits of which data sets they read."""

from __future__ import annotations

from typing import Any

from sfda_bench.errors import BenchError, require_known
from sfda_bench.paths import CONFIGS

TASK_FOLDER = CONFIGS / 'tasks'
_ROLES = ('source', 'target_train', 'target_val')


def task_names() -> list[str]:
    """Return the names of all tasks."""
    return sorted(p.stem for p in TASK_FOLDER.glob('*.py') if not p.stem.startswith('_'))


def load_task(name: str) -> dict[str, Any]:
    """Return the ``task`` block of a task config."""
    from mmengine.config import Config  # not at module level: it takes a second to import

    require_known('task', name, task_names())
    config = Config.fromfile(str(TASK_FOLDER / f'{name}.py'), import_custom_modules=False)
    if 'task' not in config:
        raise BenchError(f'{name}.py defines no task', 'a top-level `task = dict(...)`')
    return config.task.to_dict()


def splits_of(task: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return data set -> the splits which a task reads."""
    splits: dict[str, list[str]] = {}
    for role in _ROLES:
        part = task.get(role)
        if part:
            splits.setdefault(part['folder'], []).append(part['split'])
    return {dataset: tuple(dict.fromkeys(names)) for dataset, names in splits.items()}
