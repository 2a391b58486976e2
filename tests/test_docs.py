"""Every code block of the documentation is run, or its flags are parsed; the pages build."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from sfda_bench.board.basis import BASES
from sfda_bench.plan import catalog, kinds
from sfda_bench.store.record import Fidelity, GuardVerdict, Setting, Track
from tests import documents
from tests.documents import PAGES, ROOT, Copy, blocks, declared

#: Pages that are much like others: parsed by default, run among the long tests.
AGAIN = (
    'README', 'add_method', 'add_network', 'add_protocol', 'add_task', 'reading', 'regression',
    'test_time',
)  # fmt: skip
RUN = [
    pytest.param(page, id=page.stem, marks=[pytest.mark.slow] if page.stem in AGAIN else [])
    for page in PAGES
    if any(not block.needs and block.language != 'text' for block in blocks(page))
]
EVERY = [block for page in PAGES for block in blocks(page)]
PARSED = [b for b in EVERY if b.needs or (b.language == 'bash' and b.page.stem in AGAIN)]


@pytest.fixture(scope='module')
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    return Copy(tmp_path_factory.mktemp('docs') / 'sfda_bench')


def test_every_block_says_how_it_is_checked():
    wrong = [text for block in EVERY if (text := declared(block))]
    assert not wrong, '\n'.join(wrong)
    assert len(EVERY) > 40


@pytest.mark.parametrize('page', RUN)
def test_the_blocks_of_a_page_run(page, copy):
    """In order, in one copy of the repository that all pages share."""
    for block in blocks(page):
        if not block.needs and block.language != 'text':
            copy.run(block)


@pytest.mark.slow
def test_the_worked_example_runs_on_the_pocket_suite_as_it_is(tmp_path):
    """A reader of CONTRIBUTING gets rendered streets, a trained source model, a better row."""
    copy = Copy(tmp_path / 'sfda_bench', tiny=False)
    for block in blocks(ROOT / 'CONTRIBUTING.md'):
        if not block.needs:
            shown = copy.run(block)
    row = next(line for line in shown.splitlines() if '| InfoMax |' in line)
    source, measured = (float(x.strip(' *').split()[0].strip('*')) for x in row.split('|')[6:8])
    assert measured > source


@pytest.mark.parametrize('block', PARSED, ids=str)
def test_the_flags_of_a_block_that_is_not_run_parse(block, monkeypatch):
    documents.parse(block, monkeypatch)


@pytest.mark.slow
@pytest.mark.data
def test_the_blocks_that_need_data_run(copy, real_root):
    for block in EVERY:
        if block.needs == 'data':
            text = block.text.replace('/path/to/data', str(real_root))
            text = text.replace('source .venv/bin/activate\n', '')
            copy.run(replace(block, text=text), SFDA_DATA_ROOT=str(real_root))


@pytest.mark.slurm
def test_the_blocks_that_need_slurm_run(copy):
    from tests.run.slurm_cluster import Cluster, missing_programs

    if missing_programs():
        pytest.skip(f'not installed: {missing_programs()} (Debian: slurm-wlm munge)')
    folder = Path(tempfile.mkdtemp(prefix='slurm-'))
    cluster = Cluster(folder)
    try:
        cluster.start()
        for block in EVERY:
            if block.needs == 'slurm':
                text = block.text.replace('--slurm-partition gpu', '--slurm-partition debug')
                copy.run(replace(block, text=text))
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


def test_the_glossary_has_every_word_of_a_closed_list():
    page = (ROOT / 'docs' / 'glossary.md').read_text()
    lists = [catalog.names('suites'), kinds.names(), BASES]
    lists += [get_args(words) for words in (Fidelity, GuardVerdict, Setting, Track)]
    assert not [word for words in lists for word in words if f'`{word}`' not in page]
    words = [w for w in re.findall(r'^\| ([^|`]+) \|', page, flags=re.M) if w != 'word']
    assert len(set(words)) == len(words)


def test_the_pages_build_without_a_warning(tmp_path):
    command = [sys.executable, '-m', 'mkdocs', 'build', '--strict', '--site-dir', str(tmp_path)]
    # the theme announces its own successor
    env = {**os.environ, 'NO_MKDOCS_2_WARNING': '1'}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert 'WARNING' not in done.stderr, done.stderr
    for page in tmp_path.glob('*.html'):
        text = page.read_text()
        assert 'fonts.googleapis' not in text and 'cdn.' not in text and 'unpkg.com' not in text
