"""Arguments are parsed, and text is printed, in ``cli`` alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / 'sfda_bench'
#: Processes that executors start, which get their task in arguments.
PARSES = {'run/worker.py', 'run/launch.py'}
#: Where output is the purpose, or nobody is there to hand it to.
PRINTS = {
    'interrupts.py',  # the last line of a process that was stopped
    'stack.py',  # what the libraries said on import, but for two messages everybody knows
    'run/worker.py',  # a stage's own log: its last words
    'run/stage.py',  # the same log: a damaged checkpoint was set aside
    'run/seal/sealed.py',  # the same, of a sealed stage
    'run/preflight.py',  # a warning before hours of work, on standard error
    'run/executors/local.py',  # progress, on standard error
    'run/executors/slurm.py',  # the same
}


def uses(path: Path) -> Iterator[str]:
    """``argparse`` and ``print``, as far as a file imports or calls them."""
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ''
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id


def files_with(word: str) -> set[str]:
    return {
        name
        for path in PACKAGE.rglob('*.py')
        if not (name := path.relative_to(PACKAGE).as_posix()).startswith('cli/')
        and word in uses(path)
    }


@pytest.mark.parametrize(('word', 'allowed'), [('argparse', PARSES), ('print', PRINTS)])
def test_only_the_command_line_parses_and_prints(word, allowed):
    assert files_with(word) <= allowed


def test_nothing_below_imports_the_command_line():
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob('*.py')
        if 'cli' not in path.relative_to(PACKAGE).parts
        and any(name.startswith('sfda_bench.cli') for name in uses(path))
    }
    assert found == set()


def test_the_search_finds_such_uses(tmp_path):
    path = tmp_path / 'a.py'
    path.write_text('def f():\n    from argparse import Namespace\n    print(Namespace)\n')
    assert set(uses(path)) == {'argparse', 'print'}
