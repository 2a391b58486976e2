"""The harness from Python: records as tables, comparisons, plans and runs.

The same functions as the command line, without parsing and printing::

    import sfda_bench

    records = sfda_bench.load_records('results/records')
    records.to_frame()                                        # one row a record
    records.compare('tent', 'bn_adapt', task='gta5_to_cityscapes').overall
    records.rescore('synthia13_avg').to_frame()

    plan = sfda_bench.make_plan(
        'pocket', methods=['tent[lr=1e-4]'], tasks=['gta5_to_cityscapes']
    )
    sfda_bench.run_plan(plan)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfda_bench.board.compare import Report
from sfda_bench.board.compare import compare as compare_items
from sfda_bench.board.loading import Item, load_items, require_records
from sfda_bench.errors import BenchError
from sfda_bench.paths import RESULTS, WORK
from sfda_bench.plan.model import Plan, Stage
from sfda_bench.scoring.protocols import ScoringProtocol, load_scoring
from sfda_bench.scoring.rounds import merge_rounds
from sfda_bench.scoring.scores import ProtocolScores, score
from sfda_bench.store.record import Record, load_counts

if TYPE_CHECKING:
    import pandas as pd

    from sfda_bench.run.execute import Summary


@dataclass(frozen=True)
class Records(Sequence[Record]):
    """Records with their counts, checked: a sequence of :class:`~sfda_bench.store.record.Record`.

    Attributes:
        items: Each record with what was computed from its counts.
        protocol: The scoring protocol of the tables; ``None`` = each record's own.
    """

    items: tuple[Item, ...]
    protocol: ScoringProtocol | None = None

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return Records(self.items[index], self.protocol)
        return self.items[index].record

    def __iter__(self) -> Iterator[Record]:
        return (item.record for item in self.items)

    def select(self, **fields: Any) -> Records:
        """Those whose entry has these values, e.g. ``task=..., method=..., seed=0``.

        Raises:
            BenchError: An entry has no such field.
        """
        for name in fields:
            if name not in type(self.items[0].record.entry).model_fields if self.items else ():
                raise BenchError(f'records have no field {name!r}', 'a field of an entry')
        kept = [
            item
            for item in self.items
            if all(getattr(item.record.entry, name) == value for name, value in fields.items())
        ]
        return Records(tuple(kept), self.protocol)

    def rescore(self, protocol: str) -> Records:
        """The same counts under another scoring protocol.

        Those of other label spaces drop out, and self-reported ones, which have no counts.

        Args:
            protocol: Its id, such as ``'synthia13_avg'``, or ``id@version``.
        """
        chosen = load_scoring(protocol)
        space = chosen.label_space
        kept = [i for i in self.items if i.counted and i.protocol.label_space == space]
        return Records(tuple(kept), chosen)

    def to_frame(self) -> pd.DataFrame:
        """One row a record: its entry, protocols, mIoU, IoU by class and by condition, cost.

        Percent; missing values are missing. Commit, date and files stand at the end.
        """
        import pandas as pd

        return pd.DataFrame([self._row(item) for item in self.items])

    def _row(self, item: Item) -> dict[str, Any]:
        record, found = item.record, self._scores(item)
        entry = record.entry.model_dump()
        return {
            **entry,
            'track': record.track,
            'setting': record.setting,
            'fidelity': record.fidelity,
            'tier': item.tier,
            'inference_protocol': record.inference_protocol,
            'scoring_protocol': self.protocol.ref if self.protocol else record.scoring_protocol,
            'images': found.images,
            'miou': found.miou,
            **{f'iou_{name}': value for name, value in found.per_class.items()},
            **{f'miou_{name}': value for name, value in found.per_condition.items()},
            'source_miou': record.source.miou,
            'guard': record.guard.verdict,
            'wall_seconds': record.cost.wall_seconds,
            'peak_memory_mb': record.cost.peak_memory_mb,
            'commit': record.code.commit,
            'created': record.created,
            'file': str(item.path),
        }

    def _scores(self, item: Item) -> ProtocolScores:
        if self.protocol is None:
            return item.scores
        counts, ids, conditions = load_counts(item.path.parent / item.record.counts_file)
        counts, _, conditions = merge_rounds(counts, ids, conditions)
        return score(counts, conditions, self.protocol)

    def compare(self, a: str, b: str, **fields: Any) -> Report:
        """Two methods on the same images: paired bootstrap and permutation, by class, condition.

        Args:
            a: A method.
            b: Another one.
            **fields: What else singles out one record of each: ``task``, ``network``, ``seed``,
                ``suite``.

        Raises:
            BenchError: A method has no such record or several, or they cannot be compared.
        """
        return compare_items(self._one(a, fields), self._one(b, fields))

    def _one(self, method: str, fields: dict[str, Any]) -> Item:
        found = self.select(method=method, **fields).items
        if len(found) != 1:
            slugs = ', '.join(item.record.entry.slug for item in found[:4])
            raise BenchError(
                f'{len(found)} records of {method}' + (f': {slugs}' if slugs else ''),
                'one record of each method',
                'single it out: task=..., network=..., seed=..., suite=...',
            )
        return found[0]


def load_records(folders: str | Path | Iterable[str | Path] = RESULTS / 'records') -> Records:
    """Read records and check them against their counts.

    Args:
        folders: One or several; of an entry that several have, the last one counts. Those that
            others sent lie in ``results/community``; the column ``tier`` tells them apart.

    Raises:
        BenchError: A folder holds none, or a record is damaged.
    """
    paths = [Path(f) for f in ([folders] if isinstance(folders, (str, Path)) else folders)]
    require_records(paths)
    return Records(tuple(load_items(paths)))


def make_plan(
    suite: str = 'pocket',
    *,
    tasks: Sequence[str] | None = None,
    networks: Sequence[str] | None = None,
    methods: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    data_root: str | Path | None = None,
    runs: str | Path = WORK / 'runs',
) -> Plan:
    """Entries and their stages, merged by id; nothing runs.

    Args:
        suite: Name of a suite, or the path of a suite config.
        tasks: Names or globs; ``None`` = all that the suite has, here and below.
        networks: The same.
        methods: With settings where wanted: ``'tent[lr=1e-4]'``.
        seeds: Seeds.
        data_root: Folder of all data sets; default: ``SFDA_DATA_ROOT``, or where a suite renders.
        runs: Folder of all stages.

    Raises:
        BenchError: Unknown names or settings, or data that are missing.
    """
    from sfda_bench.plan import expand
    from sfda_bench.plan.selectors import parse_method
    from sfda_bench.run import preflight
    from sfda_bench.store.runs import Store

    chosen = [parse_method(text) for text in methods] if methods is not None else None
    selection = expand.Selection(tasks, networks, chosen, seeds)
    root = preflight.data_root(expand.load_suite(suite), Path(data_root) if data_root else None)
    return expand.make_plan(suite, selection, root, Store(Path(runs)))


def run_plan(
    plan: Plan,
    *,
    runs: str | Path = WORK / 'runs',
    records: str | Path = RESULTS / 'records',
    workers: int = 1,
    report: Callable[[Stage, str, str], None] = lambda stage, state, reason: None,
) -> Summary:
    """Run what a plan lacks, write its records, and return what ran, what failed and why.

    Args:
        plan: From :func:`make_plan`, with the same ``runs``.
        runs: Folder of all stages.
        records: Folder for the records.
        workers: Stages at a time, on the CPU; the command line knows GPUs and SLURM.
        report: Called at each change of a stage's state.

    Raises:
        BenchError: Something would fail later, such as a folder that cannot be written.
    """
    from sfda_bench.run import execute, preflight
    from sfda_bench.run.executors.local import LocalExecutor
    from sfda_bench.store.runs import Store

    store, folder = Store(Path(runs)), Path(records)
    preflight.check(plan, execute.todo(plan, store, folder), store, folder)
    return execute.run_plan(plan, store, LocalExecutor(['cpu'] * workers), folder, report)
