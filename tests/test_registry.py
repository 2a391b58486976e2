"""Every class of ours is found in a process that has imported nothing else."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LOOK_UP = """
import json, sys, warnings
warnings.simplefilter('ignore')
registry, name = sys.argv[1:]
import sfda_bench.registry as ours
print(json.dumps(getattr(ours, registry).get(name) is not None))
"""


def registered() -> list[tuple[str, str]]:
    """(registry, class) of every registered class, by the source."""
    found = []
    for path in (ROOT / 'sfda_bench').rglob('*.py'):
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            for item in getattr(node, 'decorator_list', []):
                text = ast.unparse(item)
                if text.endswith('.register_module()'):
                    found.append((text.removesuffix('.register_module()'), node.name))
    return sorted(found)


def test_what_is_registered_is_found_whatever_is_looked_up_first():
    """All registries search the same rooms, so one look-up in a fresh process stands for all."""
    import sfda_bench.registry as ours

    rooms = {tuple(getattr(ours, name)._locations) for name, _ in registered()}
    assert len(rooms) == 1
    missing = [
        f'{registry} {name}'
        for registry, name in registered()
        if getattr(ours, registry).get(name) is None
    ]
    assert missing == []


@pytest.mark.parametrize(
    ('registry', 'name'),
    [
        ('TRANSFORMS', 'CropStreams'),
        ('DATASETS', 'RandomSubset'),
        ('PARAM_SCHEDULERS', 'WarmupPolyLR'),
    ],
)
def test_a_look_up_is_the_first_thing_a_process_does(registry, name):
    done = subprocess.run(
        [sys.executable, '-c', LOOK_UP, registry, name],
        capture_output=True, text=True, cwd=ROOT, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout.splitlines()[-1]) is True, done.stderr


def test_our_registries_are_children_of_mmsegs():
    from mmseg import registry as theirs

    import sfda_bench.registry as ours

    for registry in (*ours.OTHERS, ours.MODELS, ours.OPTIMIZERS, ours.PARAM_SCHEDULERS):
        assert registry.scope == 'sfda_bench' and registry.parent.scope == 'mmseg'
    assert ours.MODELS.parent is theirs.MODELS
