"""Questions about a suite and its store: nothing runs, nothing is rendered."""

from __future__ import annotations

import argparse
from collections import Counter
from typing import Any

from tabulate import tabulate

from sfda_bench.cli.console import dump, summary_json
from sfda_bench.cli.suite import prepare
from sfda_bench.errors import BenchError, require_known
from sfda_bench.plan import catalog
from sfda_bench.plan.parts import REGISTRIES, parts
from sfda_bench.run import preflight
from sfda_bench.run import status as inspect
from sfda_bench.run.execute import Summary, collect_into

Arguments = argparse.Namespace


def status(arguments: Arguments) -> int:
    """Print the state of every entry."""
    plan_, store = prepare(arguments, question=True)
    rows = [
        (entry.key, *inspect.entry_state(entry, store, arguments.records))
        for entry in plan_.entries
    ]
    if arguments.json:
        dump([{**key.model_dump(), 'state': s, 'reason': r} for key, s, r in rows])
        return 0
    table = [[k.task, k.network, k.label, k.seed, s, r[:60]] for k, s, r in rows]
    print(tabulate(table, ['task', 'network', 'method', 'seed', 'state', 'reason']))
    counts = Counter(state for _, state, _ in rows)
    print('\n' + ', '.join(f'{number} {state}' for state, number in sorted(counts.items())))
    if any(reason == inspect.NOT_HERE for _, _, reason in rows):
        print(
            'a run measures again what is not in this store; with --only-missing it leaves every '
            'entry that has a record'
        )
    return 0


def collect(arguments: Arguments) -> int:
    """Write the records of finished entries."""
    plan_, store = prepare(arguments)
    preflight.check_writable({'records (--records)': arguments.records / plan_.suite})
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
    plan_, store = prepare(arguments, question=True)
    if not arguments.entry:
        slugs = [entry.key.slug for entry in plan_.entries]
        raise BenchError('explain without an entry', 'one of: ' + ', '.join(slugs))
    entry = inspect.find_entry(plan_, arguments.entry)
    facts = inspect.explain_entry(entry, plan_, store, arguments.records)
    if arguments.json:
        dump(facts)
        return 0
    print(f'{facts["entry"]}: {facts["state"]} {facts["reason"]}'.rstrip())
    print(f'{facts["method"]}: {facts["title"]}')
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
    plan_, store = prepare(arguments, question=True)
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
    known = (*catalog.KINDS, *REGISTRIES)
    kinds = [require_known('kind', arguments.kind, known)] if arguments.kind else known
    found = {kind: parts(kind) if kind in REGISTRIES else inspect.members(kind) for kind in kinds}
    if arguments.json:
        dump(found)
        return 0
    print('\n\n'.join(_table(rows) for rows in found.values()))
    return 0


def _table(rows: list[dict[str, Any]]) -> str:
    """Rows of one kind; long texts are wrapped."""
    plain = [
        {key: ', '.join(value) if isinstance(value, list) else value for key, value in row.items()}
        for row in rows
    ]
    widths = [{'about': 58, 'methods': 30}.get(key) for key in plain[0]] if plain else None
    return tabulate(plain, headers='keys', maxcolwidths=widths)
