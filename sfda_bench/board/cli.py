"""Command lines of the board room; the scripts in tools/ call these."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from sfda_bench.board import capsule, compare, gallery, submission
from sfda_bench.board.boards import make_boards
from sfda_bench.board.build import RESULTS, ROOT, build, check, write
from sfda_bench.board.explain import explain
from sfda_bench.board.loading import load_item, load_items
from sfda_bench.board.markdown import heading
from sfda_bench.board.reported import REPORTED, lint, load_all, with_outside
from sfda_bench.board.submission import SERVERS
from sfda_bench.board.text import number
from sfda_bench.errors import BenchError, require_known
from sfda_bench.suite import catalog


def leaderboard_parser() -> argparse.ArgumentParser:
    """Options of ``make_leaderboard``."""
    parser = argparse.ArgumentParser(
        prog='make_leaderboard', description='Write results/README.md and its pages from records.'
    )
    parser.add_argument(
        '--records',
        type=Path,
        nargs='+',
        default=[RESULTS / 'records'],
        metavar='DIR',
        help='folders of records; of an entry in several, the last counts',
    )
    parser.add_argument(
        '--method',
        nargs='+',
        default=[],
        metavar='FILE.py',
        help='configs of methods outside the repository: their titles, cards and <name>.yaml',
    )
    parser.add_argument('--out', type=Path, default=RESULTS, metavar='DIR')
    parser.add_argument(
        '--check', action='store_true', help='write nothing; exit 1 if a committed page differs'
    )
    parser.add_argument(
        '--lint', action='store_true', help='only check the reported numbers; exit 1 on a problem'
    )
    parser.add_argument(
        '--gallery', metavar='SUITE', help='first choose and copy pictures of a rendered suite'
    )
    parser.add_argument(
        '--compare', nargs=2, type=Path, metavar='RECORD', help='only compare two records in detail'
    )
    parser.add_argument(
        '--explain', metavar='METHOD', help='only list why reported and measured may differ'
    )
    parser.add_argument('--runs', type=Path, default=ROOT / 'runs', metavar='DIR')
    parser.add_argument('--data-root', type=Path, default=ROOT / 'data' / 'pocket', metavar='DIR')
    return parser


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
    items = [i for i in load_items(args.records) if i.record.entry.suite == args.gallery]
    for board in make_boards(items, samples=1):
        found = gallery.make(board, args.out / 'site', args.runs, args.data_root)
        print(f'{board.key.slug}: {len(found.pictures)} images, {len(found.methods)} methods')


def lint_reported() -> None:
    """Raise if a reported number has a problem."""
    found = lint()
    if found:
        raise BenchError('\n'.join(found), 'typed rows with their origin', f'edit {REPORTED}')
    rows = sum(len(file.rows) for file in load_all().values())
    print(f'{rows} reported rows of {len(load_all())} methods are in order')


def make_leaderboard(argv: Sequence[str] | None = None) -> int:
    """Run ``make_leaderboard``; returns the exit status."""
    args = leaderboard_parser().parse_args(argv)
    try:
        for path in args.method:
            catalog.add(path)
        if args.lint:
            lint_reported()
        elif args.compare:
            a, b = (load_item(path) for path in args.compare)
            print(compare.text(a, b, compare.compare(a, b)))
        elif args.explain:
            print(explain_text(args.records, args.explain))
        else:
            _pages(args)
    except BenchError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


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
    items = [i for i in load_items(records) if i.record.entry.method == method]
    require_known('method with records', method, {i.record.entry.method for i in items})
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


def export_submission(argv: Sequence[str] | None = None) -> int:
    """Run ``export_submission``; exit status 1 if the server would refuse the archive."""
    parser = argparse.ArgumentParser(
        prog='export_submission', description='Pack predictions for a test server and check them.'
    )
    parser.add_argument('--server', required=True, choices=sorted(SERVERS))
    parser.add_argument(
        '--predictions', type=Path, metavar='DIR', help='<sample id>.png, train ids'
    )
    parser.add_argument('--out', type=Path, required=True, metavar='ZIP')
    parser.add_argument('--split', default='test', choices=['test', 'val'])
    parser.add_argument('--check', action='store_true', help='only check the archive --out')
    args = parser.parse_args(argv)
    if not args.check and args.predictions is None:
        parser.error('--predictions is needed')
    try:
        if args.check:
            problems = submission.check(args.server, args.out, args.split)
        else:
            problems = submission.export(args.server, args.predictions, args.out, args.split)
    except BenchError as error:
        print(error, file=sys.stderr)
        return 1
    for line in problems[:20]:
        print(line, file=sys.stderr)
    if problems:
        print(f'{args.out}: {len(problems)} problems, do not submit it', file=sys.stderr)
        return 1
    print(f'{args.out}: ready for the {args.server} server')
    return 0


def capsule_main(argv: Sequence[str] | None = None) -> int:
    """Run ``capsule make`` or ``capsule verify``; exit status 1 if a capsule is refused."""
    parser = argparse.ArgumentParser(prog='capsule', description='Archive or verify one entry.')
    commands = parser.add_subparsers(dest='command', required=True)
    make = commands.add_parser('make', help='archive the entry of a record')
    make.add_argument('record', type=Path, help='results/records/<suite>/<entry>.json')
    make.add_argument('--out', type=Path, required=True, metavar='ZIP')
    make.add_argument('--runs', type=Path, default=ROOT / 'runs', metavar='DIR')
    verify = commands.add_parser('verify', help='recompute the row of a capsule, offline')
    verify.add_argument('capsule', type=Path)
    verify.add_argument('--id', help='the id its maker told you')
    args = parser.parse_args(argv)
    try:
        if args.command == 'make':
            found = capsule.make(args.record, args.out, args.runs)
            print(f'{args.out}\nid {found}')
        else:
            print(_row_text(capsule.verify(args.capsule, args.id)))
    except BenchError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


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
