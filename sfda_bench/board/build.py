"""Builds all that is generated below ``results/`` in memory, then writes or compares it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sfda_bench.atomic import write_all
from sfda_bench.board import agreement, benchmarks, overall
from sfda_bench.board.boards import make_boards
from sfda_bench.board.export import csv
from sfda_bench.board.latex import class_table, column_table
from sfda_bench.board.loading import load_items
from sfda_bench.board.markdown import readme
from sfda_bench.board.pages import board_page
from sfda_bench.board.papers import bibtex
from sfda_bench.board.reported import REPORTED, load_all, with_outside
from sfda_bench.board.reproduction import answers, questions
from sfda_bench.board.reproduction_page import overview as reported_overview
from sfda_bench.board.reproduction_page import page as reproduction_page
from sfda_bench.board.site import pages as site_pages
from sfda_bench.errors import BenchError
from sfda_bench.paths import RESULTS, SHIPPED
from sfda_bench.scoring.statistics import SAMPLES
from sfda_bench.store.benchmark import load_benchmarks
from sfda_bench.store.schema import schema_text

SITE = 'site'
SCHEMA = 'record.schema.json'
OWNED = ('boards/*', 'site/*.html')
"""Files below the output folder that are all generated; strangers among them are stale."""
VENDORED = ('assets/plotly-basic.min.js', 'assets/LICENSE.plotly.txt')
"""Files of the site that are committed as they came and not generated."""


def build(
    records: Path | Sequence[Path],
    samples: int = SAMPLES,
    reported_folder: Path = REPORTED,
    site: Path = RESULTS / SITE,
    benchmarked: Path = RESULTS / benchmarks.FOLDER,
) -> dict[str, str]:
    """All generated files: path relative to the output folder -> text.

    Args:
        records: Folders of records.
        samples: Bootstrap samples.
        reported_folder: Folder of reported numbers.
        site: Folder of the site, for the galleries that lie in it.
        benchmarked: Folder of the records of benchmarks.
    """
    items = load_items(records)
    reported = with_outside(load_all(reported_folder), [i.record.entry.method for i in items])
    boards = make_boards(items, samples, reported)
    answered = answers(questions(reported), boards)
    agreed = agreement.agreements(boards, reported, samples)
    swept = (site.parent / 'sweeps' / 'README.md').is_file()
    files = {
        'README.md': readme(boards, reported_overview(answered), agreement.section(agreed), swept),
        overall.NAME: overall.csv(boards),
        SCHEMA: schema_text(),
        benchmarks.NAME: benchmarks.page(load_benchmarks(benchmarked)),
        'boards/reproduction.md': reproduction_page(answered),
        'boards/methods.bib': bibtex(boards),
    }
    for board in boards:
        stem = f'boards/{board.key.slug}'
        files[f'{stem}.md'] = board_page(board, reported)
        files[f'{stem}.csv'] = csv(board)
        files[f'{stem}.tex'] = column_table(board)
        files[f'{stem}__classes.tex'] = class_table(board)
    pages = site_pages(boards, reported, answered, site)
    return files | {f'{SITE}/{name}': text for name, text in pages.items()}


def stale(files: dict[str, str], out: Path) -> list[str]:
    """What differs between ``files`` and the disk, one line each."""
    found = []
    for name, text in sorted(files.items()):
        path = Path(out) / name
        if not path.is_file():
            found.append(f'{path} is missing')
        elif path.read_bytes() != text.encode():
            found.append(f'{path} differs from the regenerated one')
    return found + [f'{path} is left over' for path in strangers(files, out)]


def strangers(files: dict[str, str], out: Path) -> list[Path]:
    """Files in generated folders that would not be generated now."""
    have = [path for pattern in OWNED for path in sorted(Path(out).glob(pattern))]
    return [p for p in have if p.is_file() and p.relative_to(out).as_posix() not in files]


def write(files: dict[str, str], out: Path) -> None:
    """Write all files, or none if that fails; remove those left over from an earlier board.

    Where pyarrow is installed, ``board.parquet`` is written too; it is not committed or checked.
    """
    content = {Path(out) / name: text.encode() for name, text in files.items()}
    for name in VENDORED:
        if not (Path(out) / SITE / name).exists():
            content[Path(out) / SITE / name] = (SHIPPED / 'results' / SITE / name).read_bytes()
    write_all({p: data for p, data in content.items() if not p.is_file() or p.read_bytes() != data})
    for path in strangers(files, out):
        path.unlink()
    overall.write_parquet(files[overall.NAME], out)


def check(files: dict[str, str], out: Path) -> None:
    """Raise if the committed pages are not the regenerated ones.

    Raises:
        BenchError: Naming the pages and the command that mends them.
    """
    found = stale(files, out)
    if found:
        listed = '\n  '.join(found[:10] + ([f'... {len(found)} in all'] if len(found) > 10 else []))
        raise BenchError(
            f'the committed leaderboard is not up to date:\n  {listed}',
            'pages equal to those generated from the records',
            'python tools/make_leaderboard.py, then commit the result',
        )
