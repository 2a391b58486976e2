"""The commands of ``run_suite``: each takes the parsed arguments and returns an exit code."""

from __future__ import annotations

import argparse
import os
import shlex
import time
from collections import Counter
from pathlib import Path

from tabulate import tabulate

from sfda_bench.errors import BenchError, require_known
from sfda_bench.suite import catalog, inspect
from sfda_bench.suite.console import Console, dump, make_console, plan_json, summary_json
from sfda_bench.suite.executors import Executor, make_executor
from sfda_bench.suite.plan import Selection, load_suite, make_plan
from sfda_bench.suite.run import Summary, collect_into, run_plan, todo
from sfda_bench.suite.selectors import parse_method, parse_seeds
from sfda_bench.suite.stages import Plan
from sfda_bench.suite.store import Store

Arguments = argparse.Namespace


def prepare(arguments: Arguments) -> tuple[Plan, Store]:
    """Plan what the arguments select."""
    methods = [parse_method(text) for text in arguments.method] if arguments.method else None
    selection = Selection(arguments.task, arguments.network, methods, parse_seeds(arguments.seed))
    store = Store(arguments.runs)
    root = data_root(arguments)
    plan_ = make_plan(arguments.suite, selection, root, store, arguments.loader_workers)
    if getattr(arguments, 'only_missing', False):
        plan_.entries = [
            e for e in plan_.entries if inspect.record_of(e, arguments.records) is None
        ]
        plan_.restrict()
    return plan_, store


def data_root(arguments: Arguments) -> Path | None:
    """The data root; a suite that renders its own data does so where they are missing."""
    suite = load_suite(arguments.suite)
    if suite.get('renders') is None or arguments.data_root is not None:
        return arguments.data_root
    from sfda_bench.data.pocket.world import WorldSpec, ensure_pocket

    root = catalog.CONFIG_ROOT.parent / 'data' / 'pocket'
    ensure_pocket(root, WorldSpec(**suite['renders']))
    return root


def run(arguments: Arguments) -> int:
    """Run what is missing, write the records."""
    began = time.monotonic()
    executor = executor_of(arguments)
    plan_, store = prepare(arguments)
    if arguments.force is not None:
        force(plan_, store, arguments.force)
    missing = todo(plan_, store)
    console = make_console(store, missing, quiet=arguments.json)
    console.say(
        f'suite {plan_.suite}: {len(plan_.entries)} entries, {len(plan_.stages)} stages, '
        f'{len(missing)} to run'
    )
    with console:
        summary = run_plan(plan_, store, executor, arguments.records, console.stage)
    if arguments.json:
        dump(summary_json(summary, arguments.records))
    command = f'python tools/run_suite.py {shlex.join(arguments.argv)}'.strip()
    console.summary(summary, command, time.monotonic() - began)
    return 1 if summary.failures else 0


def force(plan_: Plan, store: Store, names: list[str]) -> None:
    """Forget stages, so that they run again.

    Raises:
        UnknownNameError: No stage of the plan has that name.
        BenchError: Somebody is running one of them.
    """
    positions = {
        stage_id: {'source'} if index == 0 else {plan_.stages[stage_id].name}
        for entry in plan_.entries
        for index, stage_id in enumerate(entry.stages)
    }
    known = {'all', *(name for found in positions.values() for name in found)}
    for name in names:
        require_known('stage', name, known)
    for stage_id, own in positions.items():
        chosen = own & set(names) if names else own - {'source'}
        if (chosen or 'all' in names) and not inspect.remove(store, stage_id):
            raise BenchError(f'stage {stage_id} is running', 'a stage that nobody runs', 'wait')


def executor_of(arguments: Arguments) -> Executor:
    """The executor the arguments name."""
    devices = devices_of(arguments.workers, arguments.gpus_per_stage)
    return make_executor(arguments.executor, arguments, devices)


def plan(arguments: Arguments) -> int:
    """Print the plan and its predicted cost."""
    plan_, store = prepare(arguments)
    cost = inspect.predict_cost(plan_, store)
    if arguments.json:
        dump({**plan_json(plan_, store), 'cost': cost})
        return 0
    console = Console(store)
    console.plan(plan_)
    if cost['stages']:
        known = cost['stages'] - cost['unknown']
        console.say(
            f'expected: {cost["seconds"] / 3600:.2f} device hours and {cost["disk_mb"]:.0f} MB for '
            f'{known} stages that ran before; {cost["unknown"]} have no precedent'
        )
    return 0


def status(arguments: Arguments) -> int:
    """Print the state of every entry."""
    plan_, store = prepare(arguments)
    rows = [
        (entry.key, *inspect.entry_state(entry, store, arguments.records))
        for entry in plan_.entries
    ]
    if arguments.json:
        dump([{**key.model_dump(), 'state': s, 'reason': r} for key, s, r in rows])
        return 0
    table = [[k.task, k.network, k.method, k.seed, s, r[:60]] for k, s, r in rows]
    print(tabulate(table, ['task', 'network', 'method', 'seed', 'state', 'reason']))
    counts = Counter(state for _, state, _ in rows)
    print('\n' + ', '.join(f'{number} {state}' for state, number in sorted(counts.items())))
    return 0


def collect(arguments: Arguments) -> int:
    """Write the records of finished entries."""
    plan_, store = prepare(arguments)
    summary = collect_into(Summary(), plan_, store, arguments.records)
    if arguments.json:
        dump(summary_json(summary, arguments.records))
    else:
        print(
            f'{len(summary.written)} records written, {summary.unchanged} unchanged, '
            f'{len(summary.incomplete)} entries without a result'
        )
    return 0


def explain(arguments: Arguments) -> int:
    """Explain one entry."""
    plan_, store = prepare(arguments)
    slugs = [entry.key.slug for entry in plan_.entries]
    if not arguments.entry:
        raise BenchError('explain without an entry', 'one of: ' + ', '.join(slugs))
    entry = inspect.find_entry(plan_, arguments.entry)
    facts = inspect.explain_entry(entry, plan_, store, arguments.records)
    if arguments.json:
        dump(facts)
        return 0
    print(f'{facts["entry"]}: {facts["state"]} {facts["reason"]}'.rstrip())
    for stage in facts['stages']:
        print(f'\n{stage["id"]}  {stage["state"]:<8} {stage["title"]}')
        print(f'  config   {store.path(stage["id"]) / "config.py"}')
        print(f'  parents  {", ".join(stage["parents"]) or "none"}')
        data = ', '.join(f'{role} {value}' for role, value in stage['data'].items())
        print(f'  data     {data or "none"}')
        print(f'  code     {stage["code"]}: {", ".join(stage["modules"]) or "none of ours"}')
        for line in stage.get('differs', []):
            print(f'  differs  {line}')
    return 0


def clean(arguments: Arguments) -> int:
    """List, or remove, what nothing refers to."""
    plan_, store = prepare(arguments)
    found = inspect.unused(store, plan_.stages, arguments.records)
    for stage_id in found:
        known = store.status(stage_id)
        print(f'  {stage_id}  {known.title if known else "?"}')
    if arguments.yes:
        gone = sum(inspect.remove(store, stage_id) for stage_id in found)
        print(f'{gone} of {len(found)} stages removed')
    else:
        print(f'{len(found)} stages would be removed; add --yes to do it')
    return 0


def members(arguments: Arguments) -> int:
    """Print what there is to run."""
    kinds = (
        [require_known('kind', arguments.entry, catalog.KINDS)]
        if arguments.entry
        else catalog.KINDS
    )
    found = {kind: inspect.members(kind) for kind in kinds}
    if arguments.json:
        dump(found)
        return 0
    print('\n\n'.join(tabulate(rows, headers='keys') for rows in found.values()))
    return 0


def new_method(arguments: Arguments) -> int:
    """Write the files of a new method and say what comes next."""
    from sfda_bench.suite.scaffold import new_method as write

    if not arguments.entry:
        raise BenchError('new-method without a name', 'new-method NAME --like METHOD')
    files = write(arguments.entry, arguments.like, arguments.outside)
    config, test = files[0], files[-1]
    method = arguments.entry if arguments.outside is None else config
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


def _gpus() -> list[str]:
    """Indices of the visible GPUs, asked of the driver (importing torch takes seconds)."""
    visible = os.environ.get('CUDA_VISIBLE_DEVICES')
    if visible is not None:
        return [part for part in visible.split(',') if part.strip()]
    return sorted(p.name.removeprefix('nvidia') for p in Path('/dev').glob('nvidia[0-9]*'))
