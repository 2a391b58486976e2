"""The page that sets our tests beside the authors' says what the rows resolve to."""

import re

import pytest

from sfda_bench.board.reported import load_all
from sfda_bench.board.reproduction import questions
from sfda_bench.board.resolved import resolved
from sfda_bench.cli.main import main
from tests.documents import ROOT

PAGE = (ROOT / 'docs' / 'reproduce.md').read_text()
BY_ID = {question.id: question for question in questions(load_all())}
SECTION = re.compile(r'^### `(?P<id>[a-z_]+:\d+)`: (?P<title>.+), (?P<value>[\d.]+)$', re.M)
SECTIONS = [
    (m['id'], m['value'], PAGE[m.end() :].split('\n## ')[0]) for m in SECTION.finditer(PAGE)
]
IDS = [name for name, *_ in SECTIONS]


def table(text):
    """(field, here, theirs) of the first table of a section."""
    lines = text.split('\n| field |', 1)[1].splitlines()[2:]
    cells = [line.strip('| ').split(' | ') for line in lines]
    return cells[: next(i for i, line in enumerate(lines) if not line.startswith('|'))]


def test_five_rows_of_five_papers_stand_there():
    assert len(set(IDS)) == len(IDS) >= 5
    assert len({BY_ID[name].file.origins[BY_ID[name].told.origin].paper for name in IDS}) >= 5


@pytest.mark.parametrize(('name', 'value', 'text'), SECTIONS, ids=IDS)
def test_the_page_says_what_a_row_resolves_to(name, value, text):
    question = BY_ID[name]
    told = question.told
    assert question.judgeable and float(value) == told.value
    assert f'`{told.network}`, inference `{told.inference}`, scoring `{told.scoring}`' in text
    rows = table(text)
    assert {field: here for field, here, _ in rows} == resolved(told)
    assert all(theirs.strip() for *_, theirs in rows), "a field without the authors' side"
    assert f'run_suite.py reproduce {name} --data-root' in text


def test_every_judgeable_row_resolves_and_a_changed_protocol_shows():
    seen = {q.id: [resolved(told) for told in q.meant] for q in BY_ID.values() if q.judgeable}
    assert len(seen) >= 69
    flip, scales = seen['crst:2']
    assert flip['scales'] == '1' and scales['scales'] == '0.9, 1, 1.2, rounded down'
    assert seen['cgnet:0'][0]['classes'] == '11' and seen['iapc:0'][0]['align_corners'] == 'true'
    stream = seen['tent_continual:0'][0]
    assert stream['averaging'].startswith('mean of the conditions') and stream['split'] == 'train'


def test_the_command_line_shows_the_test_of_one_row(capsys):
    assert main(['reproduce', 'crst:1', '--list']) == 0
    shown = capsys.readouterr().out
    assert re.search(r'upsampling steps +1: to the label', shown)
    assert 'python tools/run_suite.py reproduce crst:1' in shown
