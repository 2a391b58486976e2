"""BibTeX of the papers of methods: one entry a paper, whichever methods share it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from sfda_bench.board.cards import card
from sfda_bench.board.loading import unique
from sfda_bench.board.rows import Board
from sfda_bench.plan.method import Card

FILE = Path(__file__).with_name('papers.bib')


def bibtex(boards: Sequence[Board]) -> str:
    """BibTeX of every paper of the methods shown; a comment above an entry names its methods."""
    names: dict[str, list[str]] = {}
    for method in sorted(
        unique(name for board in boards for row in board.rows for name in row.methods)
    ):
        text = entry(method)
        if text:
            names.setdefault(text, []).append(method)
    return '\n'.join(f'% {", ".join(methods)}\n{text}' for text, methods in names.items())


def entry(method: str) -> str:
    """The BibTeX entry of a method's paper; '' if its card names none.

    It is the card's own, else one of ``papers.bib`` with the card's arXiv number or title, else
    made of what the card's line on the paper says.
    """
    about = card(method)
    if about is None or not (about.bibtex or about.paper):
        return ''
    if about.bibtex:
        return about.bibtex.strip() + '\n'
    line = _plain(about.paper)
    for text in _papers():
        eprint = re.search(r'eprint = \{(.+?)\}', text)
        same = bool(about.arxiv and eprint and eprint[1] == about.arxiv)
        if same or _plain(_field(text, 'title')) in line:
            return text
    return _made(method, about)


def link(method: str) -> str:
    """Where a method's paper can be read; '' if neither its card nor its BibTeX entry says."""
    about = card(method)
    if about is not None and about.arxiv:
        return f'https://arxiv.org/abs/{about.arxiv}'
    return _field(entry(method), 'url')


@cache
def _papers() -> tuple[str, ...]:
    text = FILE.read_text(encoding='utf-8')
    return tuple(re.findall(r'^@.*?^\}\n', text, flags=re.MULTILINE | re.DOTALL))


def _field(text: str, name: str) -> str:
    found = re.search(rf'^  {name} = \{{(.*)\}},?$', text, flags=re.MULTILINE)
    return found[1] if found else ''


def _plain(text: str) -> str:
    """Letters and digits only, to find a title in a line."""
    return re.sub(r'[^a-z0-9]', '', text.lower())


def _made(key: str, about: Card) -> str:
    """An entry from a line such as ``Wang et al., Title, ICLR 2021`` or ``A, B: Title, 2022``."""
    line, year = about.paper, re.search(r'(19|20)\d\d', about.paper)
    known = re.match(r'(?P<names>[^:]+?)(?: et al\.,|:) (?P<title>.+)', line)
    names = re.split(r', | and ', known['names']) if known else []
    more = ['others'] if known and ' et al.,' in line else []
    title = known['title'] if known else line
    fields = {
        'author': ' and '.join([*names, *more]),
        'title': re.sub(r',[^,]*(19|20)\d\d$', '', title),
        'note': line,
        'year': year[0] if year else '',
        'eprint': about.arxiv,
        'archiveprefix': 'arXiv' if about.arxiv else '',
    }
    lines = [f'  {name} = {{{value}}}' for name, value in fields.items() if value]
    return f'@misc{{{key},\n' + ',\n'.join(lines) + '\n}\n'
