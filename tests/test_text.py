"""Text is UTF-8 whatever the locale says."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(
    path
    for folder in ('sfda_bench', 'tools', 'mm_configs')
    for path in (ROOT / folder).rglob('*.py')
)
ASCII = {'LC_ALL': 'POSIX', 'LANG': '', 'PYTHONCOERCECLOCALE': '0', 'PYTHONUTF8': '0'}


def calls_in_the_locales_encoding(source: str) -> Iterator[str]:
    """Calls that read or write text without saying its encoding."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and _is_text(node):
            given = {keyword.arg for keyword in node.keywords}
            if 'encoding' not in given:
                yield ast.unparse(node)


def _is_text(node: ast.Call) -> bool:
    name = ast.unparse(node.func)
    if name.endswith(('.read_text', '.write_text')):
        return True
    if name.endswith(('.run', '.Popen', '.check_output')):
        return bool({k.arg for k in node.keywords} & {'text', 'universal_newlines'})
    if (name != 'open' and not name.endswith('.open')) or name in ('Image.open', 'os.open'):
        return False
    place = 1 if name in ('open', 'io.open') else 0
    modes = [k.value for k in node.keywords if k.arg == 'mode'] + node.args[place : place + 1]
    return not any('b' in ast.unparse(mode) for mode in modes)


@pytest.mark.parametrize(
    ('source', 'count'),
    [
        ('path.read_text()', 1),
        ('Path(a / b).write_text(text)', 1),
        ("open('a')", 1),
        ("open('a', 'w')", 1),
        ("path.open('a')", 1),
        ('subprocess.run(command, text=True)', 1),
        ("open('a', 'rb')", 0),
        ("path.open('wb')", 0),
        ("path.read_text(encoding='utf-8')", 0),
        ('Image.open(path)', 0),
        ('subprocess.run(command)', 0),
    ],
)
def test_the_search_finds_such_calls(source, count):
    assert len(list(calls_in_the_locales_encoding(source))) == count


def test_every_text_file_says_its_encoding():
    found = {
        str(path.relative_to(ROOT)): calls
        for path in SOURCES
        if (calls := list(calls_in_the_locales_encoding(path.read_text(encoding='utf-8'))))
    }
    assert len(SOURCES) > 150
    assert found == {}


@pytest.mark.parametrize('command', [['list'], ['--help'], ['plan', '--suite', 'nosuch\u00e9']])
def test_a_terminal_without_utf8_is_written_to(command):
    done = subprocess.run(
        # as bytes: this process may itself have a locale without the letter
        [sys.executable, str(ROOT / 'tools/run_suite.py'), *(part.encode() for part in command)],
        env={**os.environ, **ASCII},
        capture_output=True,
        check=False,
    )
    text = (done.stdout + done.stderr).decode('ascii')
    assert 'Traceback' not in text
    assert done.returncode == (1 if 'plan' in command else 0), text
