"""The command ``reproduce``: from a reported row to the entry that measures it, to its record.

A reported row says our method, task, network, inference and scoring; the rest - recipe, seeds,
kept checkpoints - is that of the ``paper`` profile. Records go to the suite ``reproduce``, where an
entry's name holds its inference protocol.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tabulate import tabulate

from sfda_bench.board.fields import selector
from sfda_bench.board.reported import ReportedRow, load_all
from sfda_bench.board.reproduction import Question, questions
from sfda_bench.board.resolved import resolved
from sfda_bench.cli.console import dump
from sfda_bench.cli.needs import SEEDS, files_of, needs
from sfda_bench.errors import BenchError, UnknownNameError
from sfda_bench.plan.expand import Selection, load_suite, plan_of
from sfda_bench.plan.model import Plan
from sfda_bench.plan.selectors import MethodSelector
from sfda_bench.scoring.protocols import split_ref
from sfda_bench.store.runs import Store

SUITE = 'reproduce'
#: Most checkpoints of a stage that are kept and scored, for numbers reported as the best of many.
CURVE_POINTS = 20


def suite_of(
    question: Question, seeds: Sequence[int] | None = None, told: ReportedRow | None = None
) -> dict[str, Any]:
    """The suite block that measures one reported row.

    Args:
        question: A judgeable row.
        seeds: By default :data:`SEEDS`, or one where nothing is drawn (a checkpoint's score).
        told: One of its possible readings; by default the first.
    """
    told = told or question.meant[0]
    paper = load_suite('paper')
    chosen = list(seeds or ((0,) if told.setting == 'source' else SEEDS))
    points = CURVE_POINTS if told.selection not in ('last', 'online') else 0
    return {
        'name': SUITE,
        'title': 'Reported numbers',
        'tasks': [told.task_id],
        'networks': [told.network],
        'seeds': chosen,
        'profile': 'paper',
        'inference': split_ref(told.inference)[0],
        'input_size': paper['input_size'],
        'by_protocol': True,
        'curve_points': 0 if told.setting == 'source' else points,
        'curve_stages': 'all',
    }


def plan_questions(
    chosen: Sequence[Question],
    data_root: Path | None,
    store: Store,
    workers: int = 0,
    seeds: Sequence[int] | None = None,
) -> Plan:
    """The plan that measures several reported rows; what they share runs once.

    Raises:
        BenchError: A row cannot be judged, or data sets or weights are missing: all at once.
    """
    merged: Plan | None = None
    problems: list[str] = []
    for question in chosen:
        try:
            plans = _plans(question, data_root, store, workers, seeds)
        except BenchError as error:
            problems.append(f'{question.id}: {error}')
            continue
        for found in plans:
            merged = merged or Plan(SUITE, found.data_root, [], {})
            known = {entry.key.slug for entry in merged.entries}
            merged.entries += [entry for entry in found.entries if entry.key.slug not in known]
            merged.stages.update(found.stages)
    if problems or merged is None:
        raise BenchError(
            '\n'.join(dict.fromkeys(problems)) or 'no reported row was chosen',
            'rows that can be judged, with their data sets and weights below the data root',
            'python tools/run_suite.py reproduce --list',
        )
    return merged


def _plans(
    question: Question,
    data_root: Path | None,
    store: Store,
    workers: int,
    seeds: Sequence[int] | None,
) -> list[Plan]:
    """One plan for each way of testing that a reported row leaves open; mostly a single one."""
    if question.missing:
        raise BenchError(f'cannot be judged: {"; ".join(question.missing)}')
    ours = selector(question.told)
    _require_files(ours)
    chosen = Selection(methods=[ours] if ours else None)
    tests = {told.inference: told for told in question.meant}
    return [
        plan_of(suite_of(question, seeds, told), chosen, data_root, store, workers)
        for told in tests.values()
    ]


def _require_files(ours: MethodSelector | None) -> None:
    """Refuse settings that name a file which is not there, before anything runs."""
    absent = [name for name in files_of(ours) if not Path(name).is_file()]
    if absent:
        raise BenchError(
            f'no file {", ".join(absent)} here',
            'the file that the settings name: for `prior`, frequencies of the source labels',
            f'python tools/prepare_data.py cbst-prior --task TASK --out {absent[0]}',
        )


def choose(name: str | None, everything: bool, asked: Sequence[Question]) -> list[Question]:
    """The rows that a user names: one by its id, all of a method, or all that can be judged.

    Raises:
        UnknownNameError: No such row or method.
        BenchError: Nothing was named.
    """
    if name is None:
        if not everything:
            raise BenchError(
                'reproduce without a row', 'reproduce ROW, METHOD, or --all', 'reproduce --list'
            )
        return [question for question in asked if question.judgeable]
    if ':' in name:
        found = [question for question in asked if question.id == name]
        if not found:
            raise UnknownNameError('reported row', name, [q.id for q in asked])
        return found
    found = [
        question
        for question in asked
        if name in (question.file.method, getattr(selector(question.told), 'name', None))
    ]
    if not found:
        raise UnknownNameError('method with reported numbers', name, {q.file.method for q in asked})
    judgeable = [question for question in found if question.judgeable]
    if not judgeable:
        reasons = '\n'.join(f'{q.id}: {"; ".join(q.missing)}' for q in found[:8])
        raise BenchError(f'no reported number of {name} can be judged:\n{reasons}')
    return judgeable


def show(asked: Sequence[Question], arguments: argparse.Namespace) -> int:
    """Print every reported row with what it needs."""
    rows = [needs(question, arguments.data_root) for question in asked]
    if arguments.json:
        dump(rows)
        return 0
    table = [
        [
            row['row'],
            row['label'],
            row['task'],
            row['network'] or 'unknown',
            ' or '.join(dict.fromkeys(row['open'].get('inference', [row['inference']]))),
            row['selection'],
            row['basis'],
            row['value'],
            '; '.join(row['missing']) or 'yes',
        ]
        for row in rows
    ]
    header = ['row', 'method', 'task', 'network', 'inference', 'selection', 'basis', 'reported']
    print(tabulate(table, [*header, 'judgeable']))
    if len(asked) == 1 and asked[0].judgeable:
        show_tests(asked[0])
        return 0
    complete = sum(row['complete'] for row in rows)
    print(
        f'\n{len(rows)} reported numbers, {complete} with every field known, '
        f'{sum(row["judgeable"] for row in rows)} judgeable here'
    )
    return 0


def show_tests(question: Question) -> None:
    """Print what the test of one judgeable row resolves to, once for each way it may be read."""
    for told in question.meant:
        print(f'\n{question.id}: {told.network}, {told.inference}, {told.scoring}\n')
        print(tabulate(resolved(told).items(), tablefmt='plain'))
    print(f'\n{question.command}')


def verdicts(chosen: Sequence[Question], records: Path) -> None:
    """Print what the records say of the chosen rows."""
    from sfda_bench.board.boards import make_boards
    from sfda_bench.board.loading import load_items
    from sfda_bench.board.reproduction import answers
    from sfda_bench.board.reproduction_page import state

    boards = make_boards(load_items(Path(records) / SUITE)) if (records / SUITE).is_dir() else []
    for answer in answers(chosen, boards):
        told = answer.question.told
        print(f'{answer.question.id}  {told.label}, reported {told.value}: {state(answer)}')


def chosen_of(arguments: argparse.Namespace) -> list[Question]:
    """The reported rows that the arguments name; all of them to be listed."""
    asked = questions(load_all())
    if arguments.list and not arguments.entry:
        return asked
    return choose(arguments.entry, arguments.all, asked)
