"""Files a user hands to a stage as a parameter: their content counts in its id, not their path.

``cbst_uda[prior=prior.npy]`` names a file; another file of that name is another stage.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sfda_bench.suite.store import sha256_file

PREFIX = 'file://'
#: Parts of a stage's config that parameters go to, and the keys there that the harness sets itself.
PARTS = ('model', 'test_evaluator', 'custom_hooks')
OURS = ('out_dir', 'out_file', 'save_predictions')


def symbolic(config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The config with ``file://<SHA-256>`` for every existing file, and the files by that name."""
    found: dict[str, str] = {}
    out = {k: _symbolic(v, found) if k in PARTS else v for k, v in config.items()}
    return out, found


def _symbolic(value: Any, found: dict[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {k: v if k in OURS else _symbolic(v, found) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_symbolic(item, found) for item in value)
    if isinstance(value, str) and Path(value).suffix and Path(value).is_file():
        name = PREFIX + sha256_file(Path(value))
        found[name] = str(Path(value).resolve())
        return name
    return value


def concrete(value: Any, found: Mapping[str, str]) -> Any:
    """``value`` with the paths back in place, now absolute."""
    if isinstance(value, Mapping):
        return {k: concrete(v, found) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(concrete(item, found) for item in value)
    return found.get(value, value) if isinstance(value, str) else value
