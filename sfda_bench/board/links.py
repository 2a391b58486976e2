"""Links out of the site: papers, code, and the files that lie beside it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from sfda_bench.board import papers
from sfda_bench.board.cards import card
from sfda_bench.board.rows import Board, Row
from sfda_bench.errors import BenchError
from sfda_bench.plan import catalog
from sfda_bench.scoring.protocols import PROTOCOLS, split_ref


@dataclass(frozen=True)
class Link:
    """A link: its text, where it leads, and what is found there."""

    text: str
    href: str
    title: str = ''


@dataclass(frozen=True)
class Links:
    """Links of a site in the folder ``site``.

    Files are linked where they lie below the folder that holds the results (the checkout): a page
    names no other folder of a machine.
    """

    site: Path

    def row(self, row: Row) -> list[Link]:
        """Paper, code, config and the record of each seed."""
        about, found = card(row.method), []
        if where := papers.link(row.method):
            found.append(Link('paper', where, about.paper if about else ''))
        if about and about.code:
            found.append(Link('code', about.code, "the authors' code"))
        found += self._config('config', 'methods', row.method)
        for seed, item in row.items.items():
            found += self._file(f's{seed}', item.path, f'record of seed {seed} (JSON)')
        return found

    def board(self, board: Board) -> list[Link]:
        """The tables of a board as files, and the configs of what it measures."""
        stem, key = f'../boards/{board.key.slug}', board.key
        found = [
            Link('CSV', f'{stem}.csv', 'every number, with intervals by class'),
            Link('LaTeX', f'{stem}.tex', 'a table that fits a column'),
            Link('LaTeX by class', f'{stem}__classes.tex', 'a table that fits a page'),
            Link('BibTeX', '../boards/methods.bib', 'the papers of all methods'),
            Link('Markdown', f'{stem}.md', 'with seeds and paired comparisons'),
        ]
        for kind, name in (('tasks', key.task), ('networks', key.network), ('suites', key.suite)):
            found += self._config(kind[:-1], kind, name)
        for kind, ref in (('inference', key.inference), ('scoring', key.scoring)):
            path = PROTOCOLS / kind / f'{split_ref(ref)[0]}.yaml'
            found += self._file(f'{kind} protocol', path, ref) if path.is_file() else []
        return found

    def _config(self, text: str, kind: str, name: str) -> list[Link]:
        try:
            path = catalog.config_path(kind, name)
        except BenchError:  # a record may outlive its config
            return []
        return self._file(text, path, path.name)

    def _file(self, text: str, path: Path, title: str) -> list[Link]:
        site = self.site.resolve()
        path = path.resolve()
        if not path.is_relative_to(site.parent.parent):
            return []
        href = os.path.relpath(path, site).replace(os.sep, '/')
        return [Link(text, href, title)]


def row_key(row: Row) -> str:
    """Name of a row in a page's address: the method, and a hash of its settings if it has any."""
    return row.first.record.entry.slug.rsplit('__', 2)[1]
