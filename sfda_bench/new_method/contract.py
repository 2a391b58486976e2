"""Contract test of methods, ours or from outside: what each must do, as a check to call.

The method runs on a tiny rendered world, two iterations a stage; nothing is downloaded.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

from sfda_bench.errors import BenchError
from sfda_bench.plan import catalog
from sfda_bench.plan.method import Method
from sfda_bench.plan.model import Entry, Plan
from sfda_bench.store.filenames import FINAL_NAME
from sfda_bench.store.runs import LOG_FILE, Store

MARK = 'FILL IN:'
TASK = 'gta5_to_cityscapes'
SUITE = """
suite = dict(
    name='contract', title='Contract', tasks=['gta5_to_cityscapes'], seeds=[0],
    networks=['deeplabv2_pocket'], profile='pocket', inference='pocket',
    source=dict(iters=6, batch_size=2),
)
"""


def files_of(name: str) -> list[Path]:
    """The files of a method that its author writes: config, code, reported numbers."""
    method = Method(name)
    config, root = Path(method.file), catalog.CONFIG_ROOT.parent
    code = root / 'sfda_bench' / 'methods' / method.name
    if config.parent != catalog.CONFIG_ROOT / 'methods':
        return [config, *method.code_files, config.with_suffix('.yaml')]
    code_files = [code.with_suffix('.py'), *sorted(code.glob('*.py'))]
    return [config, *code_files, root / 'results' / 'reported' / f'{method.name}.yaml']


def unfilled(name: str) -> list[str]:
    """What ``new-method`` left to its author: ``file:line: what``, one a mark still there."""
    found = []
    for path in files_of(name):
        for number, line in enumerate(
            path.read_text(encoding='utf-8').splitlines() if path.is_file() else [], 1
        ):
            field, mark, text = line.partition(MARK)
            if mark:
                key = field.split('=')[0].strip() if '=' in field else ''
                text = text.strip().rstrip('\'",')
                found.append(f'{path}:{number}: {key + ": " if key else ""}{text}')
    return found


def check_method(name: str, folder: Path) -> Path:
    """Run a method on the tiny world and hold it to the contract.

    Args:
        name: Method, or the path of its config.
        folder: An empty folder to work in.

    Returns:
        Its record.

    Raises:
        BenchError: A stage fails, a loss is not finite, nothing moved, or the source did.
    """
    plan, store, written = _run(name, Path(folder))
    entry = plan.entries[0]
    for stage_id in entry.stages:
        status = store.status(stage_id)
        if status is None or status.state != 'done':
            reason = f'{status.state}: {status.reason}' if status else 'not run'
            log = store.path(stage_id) / LOG_FILE
            raise BenchError(
                f'{plan.stages[stage_id].title}: {reason}', 'every stage done', f'read {log}'
            )
    _check_losses(entry, plan, store)
    _check_weights(entry, plan, store)
    record = json.loads(written[0].read_text(encoding='utf-8'))
    if entry.method.sealed and record['guard']['verdict'] not in (
        'sealed',
        'files only',
        'audited',
    ):
        raise BenchError(f'guard verdict {record["guard"]["verdict"]}', 'sealed')
    return written[0]


def _run(name: str, folder: Path) -> tuple[Plan, Store, list[Path]]:
    from sfda_bench.plan.expand import Selection, make_plan
    from sfda_bench.plan.selectors import MethodSelector
    from sfda_bench.pocket.world import WorldSpec, ensure_pocket
    from sfda_bench.run.execute import run_plan
    from sfda_bench.run.executors.local import LocalExecutor

    counts = {'gta5/train': 6, 'cityscapes/train': 6, 'cityscapes/val': 3}
    ensure_pocket(folder / 'data', WorldSpec(size=(48, 96), seed=7, counts=counts), workers=1)
    suite = folder / 'contract.py'
    suite.write_text(SUITE, encoding='utf-8')
    stages = Method(name).stages('pocket', TASK, {})
    params = {f'{stage["name"]}.iters': 2 for stage in stages if 'iters' in stage}
    selection = Selection([TASK], None, [MethodSelector(name, params)], None)
    store = Store(folder / 'runs')
    plan = make_plan(str(suite), selection, folder / 'data', store)
    executor = LocalExecutor(['cpu'], guard=True)
    summary = run_plan(plan, store, executor, folder / 'records', lambda *_: None)
    return plan, store, summary.written


def _check_losses(entry: Entry, plan: Plan, store: Store) -> None:
    for stage_id in entry.stages[1:-1]:
        loss = store.progress(stage_id).get('loss')
        if loss is not None and not math.isfinite(loss):
            raise BenchError(f'{plan.stages[stage_id].title}: loss {loss}', 'a finite loss')


def _check_weights(entry: Entry, plan: Plan, store: Store) -> None:
    """The network that is scored has the source's parameters, other values; the source its own."""
    import torch

    adapted = [i for i in entry.stages[1:-1] if 'train_cfg' in plan.stages[i].config]
    if not adapted:
        return
    before, after = (
        torch.load(store.path(i) / FINAL_NAME, weights_only=True)['state_dict']
        for i in (entry.stages[0], adapted[-1])
    )
    if before.keys() != after.keys():
        raise BenchError('the adapted network has other parameters than the source', 'the same')
    if all(torch.equal(before[key], after[key]) for key in before):
        raise BenchError(
            f'method {entry.key.method} left every weight as it was', 'a network that moved'
        )
    if store.verify(entry.stages[0]):
        raise BenchError('the source checkpoint changed', 'one that no method writes')
