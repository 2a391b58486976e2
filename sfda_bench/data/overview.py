"""``prepare_data.py list``: tasks, data sets, where they are and in what state."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from sfda_bench.data.catalogue import LAYOUTS
from sfda_bench.data.fingerprint import variant_name
from sfda_bench.data.layout import find_root, list_split
from sfda_bench.data.markers import read_any_marker
from sfda_bench.data.tasks import load_task, splits_of, task_names
from sfda_bench.errors import DataError


@dataclass(frozen=True)
class SplitState:
    """A split of a data set: ``images`` is None if it is not there."""

    dataset: str
    split: str
    images: int | None
    official: int
    state: str
    root: str = ''


@dataclass(frozen=True)
class TaskState:
    """A task and the data it lacks."""

    task: str
    title: str
    reads: tuple[str, ...]
    missing: tuple[str, ...]
    source: str

    @property
    def state(self) -> str:
        """``'ready'``, or what is missing; published source models do without source data."""
        if not self.missing:
            return 'ready'
        if self.missing == (self.source,):
            return f'ready for networks with a source checkpoint (no {self.source})'
        return f'missing {", ".join(self.missing)}'


def split_states(data_root: str | Path | None) -> list[SplitState]:
    """Return the state of every split of every known data set."""
    return [
        _split_state(data_root, name, split, official)
        for name, layout in LAYOUTS.items()
        for split, official in layout.counts.items()
    ]


def _split_state(
    data_root: str | Path | None, dataset: str, split: str, official: int
) -> SplitState:
    root = None if data_root is None else find_root(data_root, dataset)
    if root is None:
        return SplitState(dataset, split, None, official, 'missing')
    try:
        images = len(list_split(dataset, root, split, labelled=False))
    except DataError:
        return SplitState(dataset, split, None, official, 'split missing', str(root))
    marker = read_any_marker(root)
    state = variant_name(dataset, split, images, marker)
    if marker is not None and not marker.complete:
        state = f'{state}, incomplete'
    return SplitState(dataset, split, images, official, state, str(root))


def task_states(data_root: str | Path | None) -> list[TaskState]:
    """Return the state of every task."""
    there = {(s.dataset, s.split) for s in split_states(data_root) if s.images}
    states = []
    for name in task_names():
        task = load_task(name)
        reads = [(d, s) for d, splits in splits_of(task).items() for s in splits]
        missing = tuple(f'{d}/{s}' for d, s in reads if (d, s) not in there)
        source = '{folder}/{split}'.format(**task['source'])
        every = tuple(f'{d}/{s}' for d, s in reads)
        states.append(TaskState(name, task['title'], every, missing, source))
    return states


def overview(data_root: str | Path | None) -> dict:
    """Return everything as plain values for JSON."""
    return {
        'data_root': None if data_root is None else str(data_root),
        'tasks': [{**asdict(t), 'state': t.state} for t in task_states(data_root)],
        'splits': [asdict(s) for s in split_states(data_root)],
        'sources': {name: layout.url for name, layout in LAYOUTS.items()},
    }


def overview_text(data_root: str | Path | None) -> str:
    """Return the overview as tables."""
    from tabulate import tabulate

    tasks = [[t.task, ' '.join(t.reads), t.state] for t in task_states(data_root)]
    splits = [
        [s.dataset, s.split, '-' if s.images is None else s.images, s.official, s.state, s.root]
        for s in split_states(data_root)
    ]
    absent = [name for name in LAYOUTS if data_root is None or find_root(data_root, name) is None]
    parts = [
        f'data root: {data_root or "none given (--data-root DIR or SFDA_DATA_ROOT)"}',
        tabulate(tasks, ['task', 'reads', 'state']),
        tabulate(splits, ['data set', 'split', 'images', 'official', 'state', 'root']),
    ]
    for name in absent:
        layout = LAYOUTS[name]
        lines = [f'{layout.title}: {layout.url}', *(f'  <data root>/{t}' for t in layout.tree)]
        parts.append('\n'.join(lines))
    return '\n\n'.join(parts)
