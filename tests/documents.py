"""The code blocks of the documentation, and the two ways of checking one: run it, or parse it.

A fence says how its block is checked:

* ``bash``: run in a copy of the repository whose pocket world is tiny.
* ``bash {expect="fails"}``: run; it must fail.
* ``bash {needs="data"}`` (or ``gpu``, ``slurm``, ``time``, ``network``): every command's flags are
  parsed; the long tests run those that need data or SLURM.
* ``python title="path"``, ``yaml title="path"``: the file is written there (in the copy).
* ``python``: run.
* ``text``: not code.
"""

from __future__ import annotations

import argparse
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from pip._internal.commands import create_command

from sfda_bench.cli.main import build_parser
from sfda_bench.pocket.world import ensure_pocket
from tests.conftest import TINY

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*sorted((ROOT / 'docs').glob('*.md')), ROOT / 'README.md', ROOT / 'CONTRIBUTING.md']
NEEDS = ('data', 'gpu', 'slurm', 'time', 'network')
FENCE = re.compile(r'^```(?P<head>[^\n`]*)\n(?P<text>.*?)^```$', re.M | re.S)
SHELL = (
    'cd',
    'source',
    'export',
    'git',
    'sbatch',
    'cat',
    'touch',
    'docker',
    'grep',
    'ls',
    'cp',
    'mkdir',
    'pre-commit',
)
TINY_SUITE = f"""
suite.update(
    renders=dict(size={TINY.size}, seed={TINY.seed}, counts={TINY.counts}),
    source=dict(iters=6, batch_size=2),
)
"""


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    page: Path
    line: int
    language: str
    attributes: dict[str, str]
    text: str

    @property
    def title(self) -> str:
        return self.attributes.get('title', '')

    @property
    def needs(self) -> str:
        return self.attributes.get('needs', '')

    def __str__(self) -> str:
        return f'{self.page.relative_to(ROOT)}:{self.line}'


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found = []
    text = page.read_text()
    for match in FENCE.finditer(text):
        language, _, rest = match['head'].strip().partition(' ')
        attributes = dict(re.findall(r'([\w-]+)="([^"]*)"', rest))
        line = text.count('\n', 0, match.start()) + 1
        found.append(Block(page, line, language, attributes, match['text']))
    return found


def declared(block: Block) -> str:
    """What is wrong with a block's declaration; '' if it is checked somehow."""
    known = {'bash', 'python', 'yaml', 'text'}
    if block.language not in known:
        return f'{block}: language {block.language!r}, not one of {sorted(known)}'
    if set(block.attributes) - {'title', 'needs', 'expect'}:
        return f'{block}: unknown attributes {sorted(block.attributes)}'
    if block.needs and (block.needs not in NEEDS or block.language != 'bash'):
        return f'{block}: needs={block.needs!r} of a {block.language} block'
    if block.language == 'yaml' and not block.title:
        return f'{block}: a yaml block without a title is not checked'
    return ''


# --- running ------------------------------------------------------------------------------------


class Copy:
    """A copy of the repository, without its results, whose pocket suite is tiny (or as it is)."""

    def __init__(self, folder: Path, tiny: bool = True) -> None:
        self.folder = folder
        ignore = shutil.ignore_patterns('__pycache__')
        for name in ('sfda_bench', 'mm_configs', 'tools', 'docs', 'results/reported'):
            shutil.copytree(ROOT / name, folder / name, ignore=ignore)
        shutil.copytree(ROOT / 'results/site/assets', folder / 'results/site/assets')
        for name in ('pyproject.toml', 'mkdocs.yml', 'CONTRIBUTING.md', 'README.md'):
            shutil.copy(ROOT / name, folder / name)
        (folder / 'tests/methods').mkdir(parents=True)
        if not tiny:
            return
        suite = folder / 'mm_configs/suites/pocket.py'
        suite.write_text(suite.read_text() + TINY_SUITE)
        ensure_pocket(folder / 'data/pocket', TINY, workers=1)

    def run(self, block: Block, **more: str) -> str:
        """Run or write a block; returns what it printed."""
        if block.title:
            path = self.folder / block.title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)
            return ''
        if block.language == 'python':
            command = [sys.executable, '-c', block.text]
        else:
            command = ['bash', '-euo', 'pipefail', '-c', block.text]
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={**self._environment(), **more},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        failed = block.attributes.get('expect') == 'fails'
        assert (done.returncode != 0) == failed, f'{block}: exit {done.returncode}\n{done.stdout}'
        return done.stdout

    def _environment(self) -> dict[str, str]:
        own = {key: value for key, value in os.environ.items() if not key.startswith('SFDA_')}
        path = f'{Path(sys.executable).parent}{os.pathsep}{own["PATH"]}'
        return {**own, 'PATH': path, 'PYTHONPATH': str(self.folder)}


# --- parsing ------------------------------------------------------------------------------------


class _ParsedError(Exception):
    """The command line was understood."""


def commands(text: str) -> list[list[str]]:
    """The simple commands of a shell block, as words, without variables set before them."""
    found = []
    for line in text.replace('\\\n', ' ').splitlines():
        words = shlex.split(line, comments=True)
        while words and re.fullmatch(r'\w+=.*', words[0]):
            words = words[1:]
        for end in [i for i, word in enumerate(words) if word in ('|', '>', '>>')][:1]:
            words = words[:end]
        if words:
            found.append(words)
    return found


def parse(block: Block, monkeypatch) -> None:
    """Check the commands of a block that is not run: programs, targets and flags exist."""
    subprocess.run(['bash', '-n'], input=block.text, text=True, check=True)
    for words in commands(block.text):
        if words[:2] == ['python', '-m'] or words[0] in SHELL:
            continue
        if words[0] == 'make':
            _check_targets(block, words[1:])
        elif words[0] == 'python':
            _check_flags(block, words[1:], monkeypatch)
        elif words[0] == 'pip':
            create_command(words[1]).parse_args(words[2:])
        elif words[0] == 'sfda-bench':
            build_parser().parse_args(words[1:])
        else:
            raise AssertionError(f'{block}: nobody checks {words[0]!r}')


def _check_targets(block: Block, words: list[str]) -> None:
    known = re.findall(r'^([a-z-]+):', (ROOT / 'Makefile').read_text(), flags=re.M)
    unknown = [word for word in words if '=' not in word and word not in known]
    assert not unknown, f'{block}: no make target {unknown}'


def _check_flags(block: Block, words: list[str], monkeypatch) -> None:
    """Call a tool as far as its argument parser, which must take every flag."""
    tool = ROOT / words[0]
    assert tool.is_file(), f'{block}: no {words[0]}'
    original = argparse.ArgumentParser.parse_args

    def parse_only(self, args=None, namespace=None):
        original(self, args, namespace)
        raise _ParsedError

    with monkeypatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, 'parse_args', parse_only)
        patch.setattr(sys, 'argv', [str(tool), *words[1:]])
        patch.setattr(sys, 'path', list(sys.path))
        try:
            runpy.run_path(str(tool), run_name='__main__')
        except _ParsedError:
            return
        except SystemExit as stop:
            assert stop.code == 0, f'{block}: {shlex.join(words)} is refused'
            return
    raise AssertionError(f'{block}: {words[0]} parses no arguments')
