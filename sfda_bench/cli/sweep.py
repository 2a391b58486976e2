"""``run_suite.py sweep``: the same number of trials of each method, chosen without labels."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sfda_bench.errors import BenchError, require_known

if TYPE_CHECKING:
    from sfda_bench.plan.sweep import Wanted
    from sfda_bench.store.sweep import SweepResult


def axes_of(texts: Sequence[str] | None) -> dict[str, str | None] | None:
    """Axes as typed: a name alone stands for an axis that is declared."""
    if not texts:
        return None
    found: dict[str, str | None] = {}
    for text in texts:
        name, equals, form = text.partition('=')
        found[name.strip()] = form.strip() if equals else None
    return found


def run(arguments: argparse.Namespace) -> int:
    """Search, choose, measure the choices on fresh seeds, write the pages."""
    from sfda_bench.cli import suite as commands
    from sfda_bench.cli.console import Console
    from sfda_bench.plan.sweep import plan_sweep
    from sfda_bench.run import preflight
    from sfda_bench.run.execute import todo
    from sfda_bench.run.sweep import again, fresh_results, result_of
    from sfda_bench.store.runs import Store

    _complete(arguments)
    seeds = _fresh_seeds(arguments)
    wanted, store = _wanted(arguments), Store(arguments.runs)
    preflight.check_folder(store)
    root = preflight.data_root(wanted.suite, arguments.data_root)
    plan, pools = plan_sweep(wanted, root, store, commands.loaders_of(arguments))
    if arguments.dry_run:
        Console(store).plan(plan, todo(plan, store, arguments.records))
        return 0
    executor = commands.executor_of(arguments)
    commands.run_prepared(arguments, executor, plan, store)
    found = [result_of(pool, plan, store, arguments.records) for pool in pools]
    for pool, one in zip(pools, found, strict=True):
        one.select = list(arguments.select)
        more = again(wanted, pool, one, seeds, root, store, commands.loaders_of(arguments))
        if more is not None:
            commands.run_prepared(arguments, executor, more, store)
            one.fresh = fresh_results(one, more, arguments.records)
    _write(arguments, found)
    # a setting at which a method diverges is a result of the search
    lost = [trial for one in found for trial in one.trials if trial.miou is None]
    return 1 if any('diverged' not in trial.reason for trial in lost) else 0


def _wanted(arguments: argparse.Namespace) -> Wanted:
    from sfda_bench.plan.expand import load_suite
    from sfda_bench.plan.selectors import parse_method
    from sfda_bench.plan.sweep import Wanted

    return Wanted(
        suite=load_suite(arguments.suite),
        methods=[parse_method(text) for text in arguments.methods],
        tasks=arguments.task,
        networks=arguments.network,
        budget=arguments.budget,
        axes=axes_of(arguments.axes),
    )


def _fresh_seeds(arguments: argparse.Namespace) -> list[int]:
    from sfda_bench.plan.selectors import parse_seeds
    from sfda_bench.plan.sweep import SEARCH_SEED
    from sfda_bench.scoring.candidates import VALIDATORS

    for name in arguments.select:
        require_known('validator', name, VALIDATORS)
    seeds = [] if arguments.seed == ['none'] else parse_seeds(arguments.seed) or []
    if SEARCH_SEED in seeds:
        raise BenchError(f'seed {SEARCH_SEED} is that of the search', 'fresh ones, such as 1-3')
    return seeds


def _complete(arguments: argparse.Namespace) -> None:
    """What the commands of a suite look for besides."""
    arguments.records = arguments.records or arguments.out / 'records'
    arguments.force, arguments.json = None, False


def _write(arguments: argparse.Namespace, found: Sequence[SweepResult]) -> None:
    """Write the results, their pages, and the overview of all sweeps of the folder."""
    from sfda_bench.atomic import write_text
    from sfda_bench.board.sweep_overview import files
    from sfda_bench.store.sweep import load_sweeps, save_sweep

    for one in found:
        save_sweep(one, arguments.out)
    for path, text in files(load_sweeps(arguments.out)).items():
        write_text(arguments.out / path, text)
    for one in found:
        print(arguments.out / one.suite / f'{one.slug}.md')
    print(arguments.out / 'README.md')
