"""The console command ``sfda-bench``; ``tools/run_suite.py`` calls the same functions."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from sfda_bench.errors import BenchError

REPOSITORY = Path(__file__).resolve().parents[1]

EXAMPLES = """
examples:
  python tools/run_suite.py                                     the pocket suite: plan, run, record
  python tools/run_suite.py --suite camvid --all --data-root DIR
  python tools/run_suite.py --task gta5_to_cityscapes --method tent --seed 0-2
  python tools/run_suite.py --method 'tent[lr=1e-4]' --dry-run  what would run, and what is cached
  python tools/run_suite.py --suite paper --all --data-root DIR --workers 4
"""


def build_parser(program: str = 'sfda-bench') -> argparse.ArgumentParser:
    """The arguments of ``run_suite``."""
    parser = argparse.ArgumentParser(
        prog=program,
        description='Run a suite: every entry is planned, its missing stages run, its record '
        'written. What is done already is never run twice.',
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_argument_group('what to run')
    what.add_argument('--suite', default='pocket', help='pocket (default), camvid, paper, ...')
    what.add_argument(
        '--all', action='store_true', help='every entry of the suite (the default when no selector)'
    )
    for name in ('task', 'network', 'method'):
        what.add_argument(
            f'--{name}', nargs='+', metavar='NAME', help=f'only these {name}s (globs allowed)'
        )
    what.add_argument('--seed', nargs='+', metavar='N', help='seeds, e.g. 0-2 (default: the suite)')
    where = parser.add_argument_group('where')
    where.add_argument(
        '--data-root',
        type=Path,
        default=_path('SFDA_DATA_ROOT'),
        help='folder of all data sets (or SFDA_DATA_ROOT; the pocket suite renders its own)',
    )
    where.add_argument('--runs', type=Path, default=_path('SFDA_RUNS') or Path('runs'))
    where.add_argument('--records', type=Path, default=Path('results/records'))
    how = parser.add_argument_group('how')
    how.add_argument('--dry-run', action='store_true', help='print the plan and run nothing')
    how.add_argument('--workers', type=int, default=None, help='stages at a time (default: cores)')
    how.add_argument('--loader-workers', type=int, default=0, help='loader workers of each stage')
    how.add_argument(
        '--no-guard', action='store_true', help='do not seal stages; their records say `unguarded`'
    )
    how.add_argument('--json', action='store_true', help='plain data on standard output')
    return parser


def _path(variable: str) -> Path | None:
    value = os.environ.get(variable)
    return Path(value) if value else None


def main(argv: Sequence[str] | None = None, program: str = 'sfda-bench') -> int:
    """Run the command; returns the exit code: 0 fine, 1 failure or bad input."""
    arguments = build_parser(program).parse_args(argv)
    try:
        return run(arguments, list(sys.argv[1:] if argv is None else argv), program)
    except BenchError as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('\ninterrupted: the same command continues where this one stopped', file=sys.stderr)
        return 130


def run(arguments: argparse.Namespace, argv: Sequence[str], program: str) -> int:
    """Plan and run; see :func:`build_parser`."""
    from sfda_bench.suite.console import Console, dump, plan_json, summary_json
    from sfda_bench.suite.executors.local import LocalExecutor
    from sfda_bench.suite.plan import Selection, make_plan
    from sfda_bench.suite.run import run_plan, todo
    from sfda_bench.suite.selectors import parse_method, parse_seeds
    from sfda_bench.suite.store import Store

    began = time.monotonic()
    if arguments.all and (arguments.task or arguments.network or arguments.method):
        raise BenchError('--all together with --task, --network or --method', 'one of the two')
    methods = [parse_method(text) for text in arguments.method] if arguments.method else None
    selection = Selection(arguments.task, arguments.network, methods, parse_seeds(arguments.seed))
    store = Store(arguments.runs)
    data_root = data_root_of(arguments)
    plan = make_plan(arguments.suite, selection, data_root, store, arguments.loader_workers)
    missing = todo(plan, store)
    console = Console(store, len(missing), quiet=arguments.json)
    if arguments.dry_run:
        dump(plan_json(plan, store)) if arguments.json else console.plan(plan)
        return 0
    console.say(
        f'suite {plan.suite}: {len(plan.entries)} entries, {len(plan.stages)} stages, '
        f'{len(missing)} to run'
    )
    executor = LocalExecutor(devices_of(arguments.workers), guard=not arguments.no_guard)
    summary = run_plan(plan, store, executor, arguments.records, console.stage)
    if arguments.json:
        dump(summary_json(summary, arguments.records))
    command = f'python tools/run_suite.py {shlex.join(argv)}'.strip()
    console.summary(summary, command, time.monotonic() - began)
    return 1 if summary.failures else 0


def data_root_of(arguments: argparse.Namespace) -> Path | None:
    """The data root; a suite that renders its own data does so where they are missing."""
    from sfda_bench.suite.plan import load_suite

    suite = load_suite(arguments.suite)
    if suite.get('renders') is None or arguments.data_root is not None:
        return arguments.data_root
    from sfda_bench.data.pocket.world import WorldSpec, ensure_pocket

    root = REPOSITORY / 'data' / 'pocket'
    ensure_pocket(root, WorldSpec(**suite['renders']))
    return root


def devices_of(workers: int | None) -> list[str]:
    """One slot a GPU, or one a core; ``workers`` changes the number of slots."""
    if workers is not None and workers < 1:
        raise BenchError(f'--workers {workers}', 'at least 1')
    gpus = _gpus()
    if gpus:
        return [gpus[i % len(gpus)] for i in range(workers or len(gpus))]
    return ['cpu'] * (workers or len(os.sched_getaffinity(0)))


def _gpus() -> list[str]:
    """Indices of the visible GPUs, asked of the driver (importing torch takes seconds)."""
    visible = os.environ.get('CUDA_VISIBLE_DEVICES')
    if visible is not None:
        return [part for part in visible.split(',') if part.strip()]
    return sorted(p.name.removeprefix('nvidia') for p in Path('/dev').glob('nvidia[0-9]*'))


if __name__ == '__main__':
    sys.exit(main())
