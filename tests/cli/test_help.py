"""``--help`` of every script and command is cheap: it imports nothing that takes long."""

from __future__ import annotations

import json
import subprocess
import sys

from sfda_bench.paths import REPOSITORY

HEAVY = ('torch', 'numpy', 'matplotlib', 'mmengine', 'scipy')
#: Asks every command for its help in one process, and prints what that imported, and how many.
ASK = """
import contextlib, io, json, sys
from sfda_bench.cli import main as entry

def words(commands, before=()):
    for command in commands:
        yield (*before, command.name)
        yield from words(command.parts, (*before, command.name))

asked = 0
for call in words(entry.COMMANDS):
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            entry.main([*call, '--help'])
        except SystemExit as end:
            assert not end.code, call
    asked += 1
print(json.dumps([asked, sorted({name.split('.')[0] for name in sys.modules})]))
"""


def asked(code: str) -> tuple[int, set[str]]:
    done = subprocess.run(
        [sys.executable, '-c', code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    number, modules = json.loads(done.stdout)
    return number, set(modules)


def test_help_imports_nothing_heavy():
    number, modules = asked(ASK)
    assert number > 25
    assert modules.isdisjoint(HEAVY)


def test_an_import_at_the_top_would_be_seen():
    assert 'numpy' in asked(ASK.replace('import contextlib', 'import numpy, contextlib', 1))[1]
