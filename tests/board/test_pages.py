"""Pages and exports say the same as the board, in every format."""

import io
import re
import shutil
import subprocess
from collections import Counter

import pandas as pd
import pytest

from sfda_bench.board.boards import make_boards
from sfda_bench.board.build import build
from sfda_bench.board.latex import tex
from sfda_bench.board.loading import load_items
from sfda_bench.board.markdown import section
from sfda_bench.board.reported import load_all
from sfda_bench.board.reproduction import questions
from sfda_bench.board.reproduction_page import LACKS, lack
from sfda_bench.cli.scripts import make_leaderboard
from sfda_bench.paths import RESULTS
from tests.board.factory import make_record, small_suite

SLUG = 'boards/pocket__synthia_to_cityscapes__deeplabv2_pocket'


@pytest.fixture(scope='module')
def records(tmp_path_factory):
    folder = tmp_path_factory.mktemp('records')
    curve = [dict(iteration=i, miou=m) for i, m in ((100, 41.0), (200, 45.5), (300, 44.0))]
    small_suite(folder, (0, 1), task='synthia_to_cityscapes', scoring='synthia16_avg@1')
    make_record(
        folder, 'hcl', 0, 0.55, task='synthia_to_cityscapes', scoring='synthia16_avg@1', curve=curve
    )
    make_record(folder, 'hcl', 1, 0.55, task='synthia_to_cityscapes', scoring='synthia16_avg@1')
    tags = ['fog', 'night', 'rain', 'snow'] * 3
    make_record(
        folder, 'tent', task='cityscapes_to_acdc', scoring='acdc19@1', conditions=tags,
        suite='paper', profile='paper', inference='acdc_daformer@1', network='segformer_b5',
    )  # fmt: skip
    return folder


@pytest.fixture(scope='module')
def files(records):
    return build(records, 300)


def cells(page, heading):
    """Rows of the first Markdown table after a heading."""
    lines = page.split(heading)[1].splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith('|'))
    table = []
    for line in lines[start:]:
        if not line.startswith('|'):
            break
        table.append([cell.strip() for cell in line.strip('|').split('|')])
    return table[:1] + table[2:]


def test_every_format_has_the_same_rows(records, files):
    board = next(b for b in make_boards(load_items(records), 300) if 'synthia' in b.key.task)
    titles = [row.title for row in board.rows]
    data = pd.read_csv(io.StringIO(files[f'{SLUG}.csv']))
    assert data['method'].tolist() == titles
    assert data['mIoU'].tolist() == pytest.approx([row.mean for row in board.rows], abs=1e-4)
    for tail, columns in (('', 5), ('__classes', 18)):
        lines = [x for x in files[f'{SLUG}{tail}.tex'].splitlines() if x.endswith(r'\\')]
        assert [line.split(' & ')[not tail] for line in lines[1:]] == [tex(t) for t in titles]
        assert all(line.count(' & ') == columns - 1 for line in lines)
    markdown = cells(files[f'{SLUG}.md'], 'inference')
    assert [line[1] for line in markdown[1:]] == titles
    assert markdown == cells(files['README.md'], '### SYNTHIA')


def test_the_page_has_classes_conventions_seeds_and_pairs(files):
    page = files[f'{SLUG}.md']
    assert len(cells(page, '## Per class')[0]) == 2 + 16
    header, *body = cells(page, '## Under every scoring protocol')
    assert header[1:] == [
        '`cityscapes19@1`'.strip('`'),
        'synthia13_avg@1',
        'synthia13_masked16@1',
        'synthia13_recomputed@1',
        'synthia16_avg@1',
        'synthia16_masked@1',
    ]
    best = dict(zip(header, body[0], strict=True))
    assert float(best['synthia16_masked@1']) > float(best['synthia16_avg@1'])
    assert cells(page, '## Seeds')[0] == ['method', 'seed 0', 'seed 1', 'std']
    assert len(cells(page, '## Paired comparisons')) == 1 + 6 * 5 / 2
    assert cells(page, '## Selection gap')[1][1:] == ['44.0', '45.5', '+1.5']
    assert '## Per condition' not in page


def test_conditions_have_a_page_of_their_own(files):
    page = files['boards/paper__cityscapes_to_acdc__segformer_b5.md']
    header = cells(page, '## Per condition')[0]
    assert header == ['method', 'all', 'fog', 'night', 'rain', 'snow']


def test_a_suite_seed_that_is_missing_is_shown_as_missing(files):
    data = pd.read_csv(io.StringIO(files['boards/paper__cityscapes_to_acdc__segformer_b5.csv']))
    assert data['mIoU'].isna().all() and data['seeds'][0] == 1 and data['seeds_expected'][0] == 3


def test_every_link_of_a_page_leads_somewhere(files):
    for name, text in files.items():
        if not name.endswith('.md'):
            continue
        folder = name.rpartition('/')[0]
        for target in re.findall(r'\]\(([^)#]+)\)', text):
            if target.startswith('https://arxiv.org/'):
                continue
            path = f'{folder}/{target}' if folder else target
            path = re.sub(r'[^/]+/\.\./', '', path)
            if path == 'sweeps/README.md':  # written by sweeps, linked where it lies
                assert (RESULTS / path).is_file()
                continue
            assert path in files, (name, target)
        for target in re.findall(r'\]\(#([^)]+)\)', text):
            assert f'<a id="{target}"></a>' in text


def test_bibtex_names_the_methods(files):
    text = files['boards/methods.bib']
    assert '% tent\n@inproceedings{wang2021tent,' in text and 'eprint = {2006.10726}' in text
    assert 'author = {Wang, Dequan and Shelhamer, Evan' in text
    assert text.count('{') == text.count('}')


def test_reported_numbers_that_were_not_run_are_listed(files):
    page = files['boards/reproduction.md']
    assert '| `iapc:0` | IAPC |' in page and 'do not rank' in page and '49.4' in page
    assert 'the printed row contradicts itself' in page
    assert '`source_only:13`' in page and 'SHA-256 not known of GTA5_HCL_source.pth' in page
    assert (
        'crst_native_flip@1 or crst_test_0912f@1; cityscapes19@1; checkpoint unknown; val' in page
    )
    first = files['README.md'].index('## Reported numbers')
    assert first < files['README.md'].index('## How to read this')


def test_every_reported_number_is_counted_once_by_what_it_lacks(files):
    asked = questions(load_all())
    kinds = Counter(lack(question) for question in asked)
    assert set(kinds) == {'can be judged', *(text for _, text in LACKS)}
    assert kinds['can be judged'] == sum(question.judgeable for question in asked)
    page = files['boards/reproduction.md']
    assert all(f'| {text} | {count} |' in page for text, count in kinds.items())
    able = f'{kinds["can be judged"]} can be judged here, 0 of them measured'
    assert able in files['README.md']


def test_a_board_says_what_its_network_has_no_use_for(tmp_path):
    for network in ('segformer_pocket', 'deeplabv2_pocket'):
        make_record(tmp_path / 'pocket', network=network)
    first, second = (
        section(board)
        for board in sorted(make_boards(load_items(tmp_path)), key=lambda b: b.key.network)
    )
    assert 'no batch-norm' not in first and 'BN-adapt' in lines_of(first, '* not run: ')[0]
    assert 'no batch-norm statistics (layer norm in the encoder, group norm in' in second
    could, cannot = (
        next(line for line in lines_of(second, '* not run: ') if ('moves' in line) == moves)
        for moves in (False, True)
    )
    assert 'STvM' in could and 'BN-adapt' not in could
    assert cannot.startswith('* not run: BN-adapt, ')
    assert cannot.endswith('(moves batch-norm statistics, which segformer_pocket does not have)')


def lines_of(text, start):
    return [line for line in text.splitlines() if line.startswith(start)]


def test_latex_escapes():
    assert tex('a_b & 50% ± **x**') == r'a\_b \& 50\% $\pm$ \textbf{x}'


@pytest.mark.skipif(not shutil.which('pdflatex'), reason='no pdflatex')
def test_latex_tables_fit_a_column_and_a_page(files, tmp_path):
    tables = sorted(name for name in files if name.endswith('.tex'))
    for name in tables:
        (tmp_path / name.rpartition('/')[2]).write_text(files[name])
    inputs = '\\clearpage'.join(f'\\input{{{name.rpartition("/")[2]}}}' for name in tables)
    (tmp_path / 'paper.tex').write_text(
        '\\documentclass[twocolumn]{article}\\usepackage{booktabs,graphicx,tabularx}'
        f'\\begin{{document}}{inputs}\\end{{document}}'
    )
    command = ['pdflatex', '-interaction=batchmode', '-halt-on-error', 'paper.tex']
    subprocess.run(command, cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    log = (tmp_path / 'paper.log').read_text(errors='replace')
    assert len(tables) == 4 and 'Overfull' not in log and (tmp_path / 'paper.pdf').is_file()


def test_left_over_pages_are_removed(tmp_path, records):
    out = tmp_path / 'results'
    options = ['--records', str(records), '--out', str(out)]
    assert make_leaderboard(options) == 0
    (out / 'boards' / 'gone.md').write_text('x')
    assert make_leaderboard([*options, '--check']) == 1
    assert make_leaderboard(options) == 0 and not (out / 'boards' / 'gone.md').exists()


def test_the_linter_is_an_option(capsys):
    assert make_leaderboard(['--lint']) == 0
    assert 'are in order' in capsys.readouterr().out
