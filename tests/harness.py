"""A small suite on the tiny pocket world: real stages, a few iterations each."""

from __future__ import annotations

from pathlib import Path

from sfda_bench.plan.expand import Selection, make_plan
from sfda_bench.plan.selectors import parse_method
from sfda_bench.run.execute import run_plan
from sfda_bench.run.executors.local import LocalExecutor
from sfda_bench.store.runs import Store

SUITE = """
suite = dict(
    name='tiny', title='Tiny', tasks=['gta5_to_cityscapes', 'cityscapes_to_acdc'],
    networks=['deeplabv2_pocket'], seeds=[0], profile='pocket', inference='pocket',
    source=dict(iters=6, batch_size=2),
)
"""


def linked_root(data_root: Path, folder: Path) -> Path:
    """A data root of one's own with all data sets of another and an empty ``weights`` folder."""
    root = folder / 'data'
    (root / 'weights').mkdir(parents=True)
    for item in data_root.iterdir():
        (root / item.name).symlink_to(item)
    return root


class Bench:
    """A suite, a data root, a store and a folder for records."""

    def __init__(self, data_root: Path, folder: Path) -> None:
        self.data_root, self.folder = data_root, folder
        self.suite = str(folder / 'tiny.py')
        Path(self.suite).write_text(SUITE)
        self.store = Store(folder / 'runs')
        self.records = folder / 'records'
        self.lines: list[tuple[str, str]] = []

    def plan(self, *methods: str, tasks=('gta5_to_cityscapes',), seeds=None):
        selected = [parse_method(text) for text in methods] or None
        selection = Selection(list(tasks), None, selected, seeds)
        return make_plan(self.suite, selection, self.data_root, self.store)

    def run(self, plan, guard: bool = True, workers: int = 2):
        executor = LocalExecutor(['cpu'] * workers, guard=guard)
        report = lambda stage, state, _: self.lines.append((stage.title, state))  # noqa: E731
        return run_plan(plan, self.store, executor, self.records, report)
