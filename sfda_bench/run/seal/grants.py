"""What the config of a stage grants it, and which of that a user put there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sfda_bench.paths import RESULTS
from sfda_bench.plan.plugins import readable as code_folder
from sfda_bench.run.seal.guard import Guard
from sfda_bench.store.runs import sha256_file


def make_guard(config: Any) -> Guard:
    """What a sealed stage's config grants."""
    # mmengine formats configs with yapf, which reads a grammar from the user's cache on import.
    import yapf.yapflib.yapf_api  # noqa: F401

    readable = [Path(p) for p in config.stage.get('grants', [])]
    if config.load_from:
        readable.append(Path(config.load_from))
    readable += [code_folder(Path(p)) for p in config.stage.get('code_files', [])]
    work_dir = Path(config.work_dir)
    protected = [Path(p) for p in config.stage.get('protected', [])]
    # In a store, the folders beside this one are other runs; results hold numbers of labels.
    runs = [work_dir.parent] if work_dir.name == config.stage.get('id') else []
    return Guard(readable, [work_dir], protected, [*runs, RESULTS])


def given_files(config: Any) -> list[str]:
    """Files, not folders of images or other stages, that the config grants: ``NAME (SHA-256)``.

    Nobody knows what a user put into a file that a parameter names; so everybody is told of it.
    """
    paths = sorted({Path(p).resolve() for p in config.stage.get('grants', [])})
    return [f'{path.name} ({sha256_file(path)[:12]})' for path in paths if path.is_file()]
