"""``board``, ``capsule`` and ``submit``: from records to pages, archives and submissions."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from sfda_bench.board import capsule, community, compare, gallery, submission
from sfda_bench.board.boards import make_boards
from sfda_bench.board.build import build, check, write
from sfda_bench.board.explain import explain
from sfda_bench.board.known import Known
from sfda_bench.board.loading import load_item, load_items, require_records
from sfda_bench.board.markdown import heading
from sfda_bench.board.reported import REPORTED, lint, load_all, with_outside
from sfda_bench.board.text import number
from sfda_bench.board.tiers import RERUN, is_community
from sfda_bench.errors import BenchError, require_known
from sfda_bench.plan import catalog
from sfda_bench.store.record import load_records


def make_galleries(args: argparse.Namespace) -> None:
    """Make the gallery of every board of a suite.

    Raises:
        BenchError: The suite's images are not ours to copy, or no predictions were saved.
    """
    if 'renders' not in catalog.load('suites', args.gallery)['suite']:
        raise BenchError(
            f'the images of suite {args.gallery} are not ours to copy into a site',
            'a suite that renders its own data, e.g. pocket',
        )
    every = [item for item in load_items(args.records) if item.tier == RERUN]
    require_known('suite with records', args.gallery, {i.record.entry.suite for i in every})
    items = [i for i in every if i.record.entry.suite == args.gallery]
    made = [
        gallery.make(board, args.out / 'site', args.runs, args.data_root)
        for board in make_boards(items, samples=1)
    ]
    for drawn in made:  # all are complete before the first is replaced
        found = drawn.gallery
        gallery.write(drawn, args.out / 'site')
        print(f'{found.board}: {len(found.pictures)} images, {len(found.methods)} methods')


def lint_reported() -> None:
    """Raise if a reported number has a problem."""
    found = lint()
    if found:
        raise BenchError('\n'.join(found), 'typed rows with their origin', f'edit {REPORTED}')
    rows = sum(len(file.rows) for file in load_all().values())
    print(f'{rows} reported rows of {len(load_all())} methods are in order')


def validate(args: argparse.Namespace) -> int:
    """Say of every record whether it can be taken; returns 1 if one cannot."""
    here = [folder for folder in args.records if not is_community(folder)]
    known = Known(pair for folder in here for pair in load_records(folder))
    examined = community.examine(args.validate, known)
    for found in examined:
        for problem in found.problems:
            print(f'error: {problem}', file=sys.stderr)
        if found.record is not None and not found.problems:
            print(f'{found.path}: {found.tier}, mIoU {number(found.record.scores.miou, 2)}')
            for text in found.unchecked:
                print(f'  not checked: {text}')
    bad = sum(bool(found.problems) for found in examined)
    print(f'{len(examined)} files examined, {bad or "none"} to mend')
    return int(bad > 0)


def leaderboard(args: argparse.Namespace) -> int | None:
    """Write the boards, or only check, validate, lint, compare or explain."""
    for path in args.method:
        catalog.add(path)
    if args.validate:
        return validate(args)
    if args.lint:
        lint_reported()
        return None
    if args.compare:
        a, b = (load_item(path) for path in args.compare)
        print(compare.text(a, b, compare.compare(a, b)))
        return None
    if not args.allow_empty:
        require_records(args.records)
    if args.explain:
        print(explain_text(args.records, args.explain))
    else:
        _pages(args)
    return None


def _pages(args: argparse.Namespace) -> None:
    if args.gallery:
        make_galleries(args)
    files = build(args.records, site=args.out / 'site')
    if args.check:
        check(files, args.out)
        print(f'{len(files)} pages are up to date')
    else:
        write(files, args.out)
        print(f'{args.out / "README.md"} ({len(files)} pages)')


def explain_text(records: Path | Sequence[Path], method: str) -> str:
    """Suspects of every row of a method that has a reported number for its task."""
    every = load_items(records)
    require_known('method with records', method, {i.record.entry.method for i in every})
    items = [i for i in every if i.record.entry.method == method]
    lines, reported = [], with_outside(load_all(), [method])
    for board in make_boards(items, samples=200):
        for row in board.rows:
            told, causes = explain(board, row, reported)
            lines.append(f'{heading(board)}, {row.title}: {number(row.mean)} here')
            if told is None:
                lines.append('  nobody reported a number for this method and task')
                continue
            lines.append(f'  {number(told.value)} reported ({told.label}, {told.task})')
            lines += [f'  {i}. {cause.text}' for i, cause in enumerate(causes, 1)]
    return '\n'.join(lines)


def submit(args: argparse.Namespace) -> None:
    """Pack predictions for a test server, or check an archive.

    Raises:
        BenchError: The server would refuse it, or nothing says what to pack.
    """
    if not args.check and args.predictions is None:
        raise BenchError(
            'nothing to pack', 'a folder of predictions', 'name it with --predictions DIR'
        )
    if args.check:
        problems = submission.check(args.server, args.out, args.split)
        where = str(args.out)
    else:
        kept = args.out.exists()
        problems = submission.export(args.server, args.predictions, args.out, args.split)
        where = f'{args.out} was left as it is; the new archive' if kept else str(args.out)
    if problems:
        more = [f'... and {len(problems) - 20} more'] if len(problems) > 20 else []
        raise BenchError(
            '\n'.join([*problems[:20], *more])
            + f'\n{where} has {len(problems)} problems, do not submit it',
            submission.expected_text(args.server, args.split),
            'mend or complete the predictions, then export them again',
        )
    print(f'{args.out}: ready for the {args.server} server')


def make_capsule(args: argparse.Namespace) -> None:
    """Archive the entry of a record."""
    found = capsule.make(args.record, args.out, args.runs)
    print(f'{args.out}\nid {found}')


def verify_capsule(args: argparse.Namespace) -> None:
    """Recompute the row of a capsule, offline."""
    print(_row_text(capsule.verify(args.capsule, args.id)))


def _row_text(found: capsule.Verified) -> str:
    entry, (low, high) = found.record.entry, found.interval
    lines = [
        f'{entry.slug} ({found.record.scoring_protocol}, {found.scores.images} images)',
        f'mIoU {number(found.scores.miou, 2)} [{low:.2f}, {high:.2f}]',
        *(f'  {name:16s}{number(value)}' for name, value in found.scores.per_class.items()),
        *(f'  {name:16s}{number(value)}' for name, value in found.scores.per_condition.items()),
        f'verified: the row follows from its counts; id {found.id}',
    ]
    return '\n'.join(lines)
