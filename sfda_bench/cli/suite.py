"""The commands of suites: each takes the parsed arguments and returns an exit code."""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

from sfda_bench.cli.console import Console, dump, make_console, plan_json, summary_json
from sfda_bench.cli.forecast import ahead_of, forecast_json, forecast_text
from sfda_bench.cli.parsers.execution import computing
from sfda_bench.errors import BenchError, require_known
from sfda_bench.plan.expand import Selection, load_suite, make_plan
from sfda_bench.plan.model import Plan
from sfda_bench.plan.selectors import parse_method, parse_seeds
from sfda_bench.run import preflight
from sfda_bench.run import status as inspect
from sfda_bench.run.execute import run_plan, todo
from sfda_bench.run.executors import Executor, make_executor
from sfda_bench.run.loading import usual_workers
from sfda_bench.store.runs import Store

Arguments = argparse.Namespace


def prepare(arguments: Arguments, question: bool = False) -> tuple[Plan, Store]:
    """Plan what the arguments select.

    Args:
        arguments: As parsed.
        question: Nothing will run, so nothing is rendered.

    Raises:
        BenchError: ``--all`` beside a selector, or whatever planning refuses.
    """
    if arguments.all and (arguments.task or arguments.network or arguments.method):
        raise BenchError('--all together with --task, --network or --method', 'one of the two')
    methods = [parse_method(text) for text in arguments.method] if arguments.method else None
    seeds = parse_seeds(arguments.seed)
    selection = Selection(
        arguments.task, arguments.network, methods, seeds, arguments.all, computing(arguments)
    )
    store = Store(arguments.runs)
    preflight.check_folder(store)
    root = preflight.data_root(load_suite(arguments.suite), arguments.data_root, question)
    plan_ = make_plan(arguments.suite, selection, root, store, loaders_of(arguments))
    if arguments.only_missing:
        plan_.entries = [
            e for e in plan_.entries if inspect.record_of(e, arguments.records) is None
        ]
        plan_.restrict()
    return plan_, store


def run(arguments: Arguments) -> int:
    """Run what is missing, write the records; with ``--dry-run`` only plan."""
    if arguments.dry_run:
        return plan(arguments)
    executor = executor_of(arguments)
    return run_prepared(arguments, executor, *prepare(arguments))


def reproduce(arguments: Arguments) -> int:
    """Measure reported numbers, or list what each needs."""
    from sfda_bench.cli import reproduce as numbers

    chosen = numbers.chosen_of(arguments)
    if arguments.list:
        return numbers.show(chosen, arguments)
    executor = executor_of(arguments)
    store = Store(arguments.runs)
    plan_ = numbers.plan_questions(
        chosen,
        arguments.data_root,
        store,
        loaders_of(arguments),
        parse_seeds(arguments.seed),
    )
    if arguments.dry_run:
        Console(store).plan(plan_, todo(plan_, store, arguments.records))
        return 0
    code = run_prepared(arguments, executor, plan_, store)
    numbers.verdicts(chosen, arguments.records)
    return code


def run_prepared(arguments: Arguments, executor: Executor, plan_: Plan, store: Store) -> int:
    """Run what is missing of a plan, write the records."""
    began = time.monotonic()
    if arguments.force is not None:
        plan_.forced = force(plan_, store, arguments.force)
    missing = todo(plan_, store, arguments.records)
    guard = not getattr(arguments, 'no_guard', False)
    preflight.check(plan_, missing, store, arguments.records, guard)
    console = make_console(store, missing, quiet=arguments.json)
    console.say(
        f'suite {plan_.suite}: {len(plan_.entries)} entries, {len(plan_.stages)} stages, '
        f'{len(missing)} to run'
    )
    with console:
        summary = run_plan(plan_, store, executor, arguments.records, console.stage)
    if arguments.json:
        dump(summary_json(summary, arguments.records))
    console.results(plan_.entries, arguments.records)
    console.summary(summary, arguments.call, time.monotonic() - began)
    console.left(plan_)
    return 1 if summary.failures else 0


def force(plan_: Plan, store: Store, names: list[str]) -> set[str]:
    """Forget stages, so that they run again; returns their ids.

    Raises:
        UnknownNameError: No stage of the plan has that name.
        BenchError: Somebody is running one of them.
    """
    positions: dict[str, set[str]] = {}
    others: set[str] = set()  # of methods that an entry only starts from
    for entry in plan_.entries:
        for stage_id in entry.stages:
            positions.setdefault(stage_id, set()).add(entry.name_of(plan_.stages[stage_id]))
        others |= set(entry.before.values())
    known = {'all', *(name for found in positions.values() for name in found)}
    for name in names:
        require_known('stage', name, known)
    forced = {
        stage_id
        for stage_id, own in positions.items()
        if 'all' in names or (own & set(names) if names else own - {'source', *others})
    }
    for stage_id in forced:
        if not inspect.remove(store, stage_id):
            raise BenchError(f'stage {stage_id} is running', 'a stage that nobody runs', 'wait')
    return forced


def executor_of(arguments: Arguments) -> Executor:
    """The executor the arguments name."""
    if getattr(arguments, 'detach', False) and arguments.executor != 'slurm':
        raise BenchError(
            f'--detach with --executor {arguments.executor}',
            '--executor slurm, whose jobs go on by themselves',
            'add --executor slurm; a local run is left alone with: nohup COMMAND &',
        )
    devices = devices_of(arguments.workers, arguments.gpus_per_stage)
    return make_executor(arguments.executor, arguments, devices)


def plan(arguments: Arguments) -> int:
    """Print the plan and its predicted cost."""
    plan_, store = prepare(arguments, question=True)
    missing = todo(plan_, store, arguments.records)
    preflight.check(plan_, missing, store, arguments.records)
    cost = inspect.predict_cost(missing, store)
    root = preflight.shown_root(plan_.data_root, arguments.data_root)
    ahead = ahead_of(arguments, missing)
    if arguments.json:
        found = {**plan_json(plan_, store, missing), 'data_root': str(root), 'cost': cost}
        dump(found | ({'forecast': forecast_json(ahead)} if ahead is not None else {}))
        return 0
    console = Console(store)
    console.plan(plan_, missing)
    if cost['stages']:
        known = cost['stages'] - cost['unknown']
        console.say(
            f'expected: {cost["seconds"] / 3600:.2f} device hours and {cost["disk_mb"]:.0f} MB for '
            f'{known} stages that ran before; {cost["unknown"]} have no precedent'
        )
    if ahead is not None:
        console.say(forecast_text(ahead, arguments.device, arguments.utilisation))
    return 0


def new_method(arguments: Arguments) -> int:
    """Write the files of a new method and say what comes next."""
    from sfda_bench.new_method.scaffold import new_method as write

    files = write(arguments.name, arguments.like, arguments.outside)
    config, test = files[0], files[-1]
    method = arguments.name if arguments.outside is None else config
    print('\n'.join(f'wrote {path}' for path in files))
    print(
        f'\nnext:\n  python -m pytest {test}    # says what to fill in\n'
        f'  python tools/run_suite.py --method {method} source_only\n'
        f'  python tools/make_leaderboard.py'
        + (f' --method {config}' if arguments.outside is not None else '')
    )
    return 0


def devices_of(workers: int | None, gpus_per_stage: int = 1) -> list[str]:
    """One slot a GPU (or group of GPUs), or one a core; ``workers`` changes their number."""
    if workers is not None and workers < 1:
        raise BenchError(f'--workers {workers}', 'at least 1')
    gpus = _gpus()
    if gpus and gpus_per_stage > 1:
        if len(gpus) < gpus_per_stage:
            raise BenchError(f'--gpus-per-stage {gpus_per_stage}', f'at most {len(gpus)}')
        starts = range(0, len(gpus) - gpus_per_stage + 1, gpus_per_stage)
        return [','.join(gpus[i : i + gpus_per_stage]) for i in starts][:workers]
    if gpus:
        return [gpus[i % len(gpus)] for i in range(workers or len(gpus))]
    return ['cpu'] * (workers or len(os.sched_getaffinity(0)))


def loaders_of(arguments: Arguments) -> int:
    """Loader workers of each stage, as given or as usual on this machine."""
    if arguments.loader_workers is not None:
        return int(arguments.loader_workers)
    cores = len(os.sched_getaffinity(0))
    stages = len(devices_of(getattr(arguments, 'workers', None)))
    return usual_workers(len(_gpus()), stages, cores)


def _gpus() -> list[str]:
    """Indices of the visible GPUs, asked of the driver (importing torch takes seconds)."""
    visible = os.environ.get('CUDA_VISIBLE_DEVICES')
    if visible is not None:
        return [part for part in visible.split(',') if part.strip()]
    return sorted(p.name.removeprefix('nvidia') for p in Path('/dev').glob('nvidia[0-9]*'))
