"""The static site: pages from Jinja templates, figures by plotly.js, no network, no framework."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup

from sfda_bench.board import figures, gallery, papers, reproduction_page
from sfda_bench.board.cards import card, title
from sfda_bench.board.columns import columns_of
from sfda_bench.board.explain import explain
from sfda_bench.board.guide import HOW_TO_READ, SUITES
from sfda_bench.board.links import Links, row_key
from sfda_bench.board.loading import unique
from sfda_bench.board.markdown import heading, protocol_line
from sfda_bench.board.notes import findings
from sfda_bench.board.pages import SHORT
from sfda_bench.board.provenance import versions
from sfda_bench.board.reported import ReportedFile
from sfda_bench.board.reproduction import Answer
from sfda_bench.board.reproduction_page import ABOUT
from sfda_bench.board.rows import Board, Row
from sfda_bench.board.text import number
from sfda_bench.errors import BenchError
from sfda_bench.plan import catalog
from sfda_bench.plan.method import Card
from sfda_bench.scoring.protocols import load_scoring

TEMPLATES = Path(__file__).with_name('templates')
ASSETS = ('site.css', 'site.js')
MARKDOWN = MarkdownIt('commonmark', {'html': False})


def pages(
    boards: Sequence[Board],
    reported: Mapping[str, ReportedFile],
    answered: Sequence[Answer],
    site: Path,
) -> dict[str, str]:
    """All generated files of the site, by path relative to the site folder.

    Args:
        boards: What to show.
        reported: Reported numbers by method.
        answered: The answer to each of them.
        site: Folder that holds the galleries, to be linked where there are any.
    """
    env = _environment()
    common = {'nav': navigation(boards), 'number': number}
    told = {'words': reproduction_page, 'title': title}
    files = {f'assets/{name}': (TEMPLATES / name).read_text(encoding='utf-8') for name in ASSETS}
    files['index.html'] = env.get_template('index.html').render(
        page='Leaderboard',
        file='index.html',
        boards=[(board, heading(board)) for board in boards],
        guide=_markdown(HOW_TO_READ),
        suites={name: _markdown(text) for name, text in SUITES.items()},
        figures={'scatter': _json(figures.reported_scatter(boards))},
        answers=[answer for answer in answered if answer.row is not None],
        counts=Counter(answer.verdict.word for answer in answered),
        **told,
        **common,
    )
    files['reproduction.html'] = env.get_template('reproduction.html').render(
        page='Reported numbers',
        file='reproduction.html',
        answers=answered,
        about=_markdown(ABOUT),
        **told,
        **common,
    )
    for board in boards:
        context = _board_context(board, reported, site)
        text = env.get_template('board.html').render(**context, **common)
        files[f'{board.key.slug}.html'] = text
    return files


Nav = dict[str, dict[str, list[tuple[str, str]]]]


def navigation(boards: Sequence[Board]) -> Nav:
    """Boards by suite and title: setting and file of each, offline ones first."""
    found: Nav = {}
    for board in boards:
        key = board.key
        name = f'{title("tasks", key.task)}, {title("networks", key.network)}'
        text = ' '.join(filter(None, (key.setting or 'offline', key.truth)))
        found.setdefault(key.suite, {}).setdefault(name, []).append((text, f'{key.slug}.html'))
    return found


def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _json(value: Any) -> Markup | None:
    """JSON that may stand inside a ``script`` element."""
    if value is None:
        return None
    text = json.dumps(value, sort_keys=True, separators=(',', ':'))
    return Markup(text.replace('<', '\\u003c'))


def _markdown(text: str) -> Markup:
    """CommonMark as HTML; HTML inside it is shown, not obeyed."""
    return Markup(MARKDOWN.render(text).rstrip())


STOPS = ((255, 255, 217), (161, 218, 180), (65, 182, 196), (34, 94, 168), (8, 29, 88))
"""ColorBrewer's YlGnBu: ordered in lightness, so that it survives grey print."""


def shade(value: float | None, low: float = 0, high: float = 100) -> str:
    """CSS colours of a heat-map cell, text in the readable colour."""
    if value is None:
        return ''
    place = min(max((value - low) / (high - low), 0), 1) * (len(STOPS) - 1)
    index = min(int(place), len(STOPS) - 2)
    pairs = zip(STOPS[index], STOPS[index + 1], strict=True)
    red, green, blue = (round(a + (b - a) * (place - index)) for a, b in pairs)
    light = 0.299 * red + 0.587 * green + 0.114 * blue
    return f'background:rgb({red},{green},{blue});color:{"#111" if light > 130 else "#fff"}'


def _matrix(rows: Sequence[Row], kind: str) -> dict[str, Any] | None:
    """Names and values of a heat map over ``kind``, a property of rows such as ``per_class``."""
    names = unique(name for row in rows for name in getattr(row, kind))
    if not names:
        return None
    return {
        'names': names,
        'heads': [SHORT.get(name, name).split('@')[0].replace('_', ' ') for name in names],
        'rows': [(row, [getattr(row, kind).get(name) for name in names]) for row in rows],
    }


def _mechanisms(row: Row) -> list[str]:
    """What the methods of a row are made of, as their cards say."""
    cards = filter(None, map(card, row.methods))
    return unique(name for known in cards for name in known.mechanisms)


def _cards(board: Board) -> list[tuple[Row | None, str, Card | None]]:
    """(row, method, card) of each row, then of methods that one starts from and that have none."""
    rows: list[tuple[Row | None, str, Card | None]]
    rows = [(row, row.method, card(row.method)) for row in board.rows]
    own = {row.method for row in board.rows}
    others = unique(name for row in board.rows for name in row.methods if name not in own)
    return rows + [(None, name, known) for name in others if (known := card(name))]


def _board_context(
    board: Board, reported: Mapping[str, ReportedFile], site: Path
) -> dict[str, Any]:
    pictures, links = gallery.load(site, board.key.slug), Links(site)
    suspects = []
    for row in board.rows:
        if row.verdict is not None and row.verdict.reported is not None:
            told, causes = explain(board, row, reported)
            if told is not None and row.verdict.word != 'reproduced':
                suspects.append((row, told, causes))
    conventions = _matrix(board.rows, 'conventions')
    return {
        'page': heading(board),
        'board': board,
        'file': f'{board.key.slug}.html',
        'columns': sorted(columns_of(board.rows), key=lambda c: c.name == 'verdict'),
        'protocol': Markup(MARKDOWN.renderInline(protocol_line(board))),
        'notes': findings(board),
        'suite': _markdown(SUITES.get(board.key.suite, '')),
        'classes': _matrix(board.rows, 'per_class'),
        'conditions': _matrix(board.rows, 'per_condition'),
        'rounds': _matrix(board.rows, 'per_round'),
        'conventions': conventions if conventions and len(conventions['names']) > 1 else None,
        'convention_titles': {
            name: load_scoring(name).title for name in (conventions or {'names': []})['names']
        },
        'figures': {
            'cost': _json(figures.cost(board)),
            'curves': _json(figures.curves(board)),
            'scatter': _json(figures.reported_scatter([board])),
        },
        'suspects': suspects,
        'shade': shade,
        'cards': _cards(board),
        'bib': {name: papers.entry(name) for row in board.rows for name in row.methods},
        'key': row_key,
        'links': {row.title: links.row(row) for row in board.rows},
        'files': links.board(board),
        'versions': versions(board),
        'mechanisms': {row.title: _mechanisms(row) for row in board.rows},
        'gallery': _json(pictures.model_dump()) if pictures else None,
        'legend': gallery.legend(board) if pictures else [],
        'no_pictures': pictures is None and not _rendered(board.key.suite),
    }


def _rendered(suite: str) -> bool:
    """Whether a suite draws its images itself, so that they may be shown."""
    try:
        return 'renders' in catalog.load('suites', suite)['suite']
    except BenchError:
        return True
