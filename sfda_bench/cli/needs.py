"""What a reported row takes: data sets, weights, files, training; and whether it can be judged."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from sfda_bench.board.basis import DECIDING
from sfda_bench.board.fields import selector
from sfda_bench.board.reproduction import Question, run_text
from sfda_bench.board.reproduction_page import basis_by_field, basis_of
from sfda_bench.plan import catalog
from sfda_bench.plan.composition import links_of
from sfda_bench.plan.method import Method
from sfda_bench.plan.selectors import MethodSelector, parse_method

SEEDS = (0, 1, 2)
#: Profile that reported numbers are measured under.
PROFILE = 'paper'


def files_of(ours: MethodSelector | None) -> list[str]:
    """Files that the settings of a method name, such as a spatial prior."""
    values = [value for value in (ours.params.values() if ours else ()) if isinstance(value, str)]
    return [value for value in values if Path(value).suffix]


def needs(question: Question, data_root: Path | None) -> dict[str, Any]:
    """What a reported row is, what it takes, and whether it can be judged, as plain values."""
    told = question.told
    network = _network(told.network)
    return {
        'row': question.id,
        'label': told.label,
        'variant': told.variant,
        'paper': question.file.origins[told.origin].paper,
        'value': told.value,
        'task': told.task_id,
        **{name: getattr(told, name) for name in DECIDING},
        'basis': basis_of(question),
        'basis_by_field': basis_by_field(question),
        'open': {name: [getattr(row, name) for row in question.meant] for name in question.open},
        'complete': question.complete,
        'run': run_text(told),
        'judgeable': question.judgeable,
        'missing': list(question.missing),
        'data_sets': _data_sets(told.task_id, network),
        'weights': _weights(network, data_root),
        'files': files_of(selector(told)),
        'iterations': _iterations(question, network),
        'seeds': len(SEEDS) if told.setting != 'source' else 1,
        'command': question.command,
    }


def _network(name: str | None) -> Mapping[str, Any] | None:
    if name is None or name not in catalog.known('networks'):
        return None
    return catalog.load('networks', name)['network']


def _data_sets(task: str | None, network: Mapping[str, Any] | None) -> list[str]:
    """Folders below the data root that a task needs with a network."""
    if task is None or task not in catalog.known('tasks'):
        return []
    block = catalog.load('tasks', task)['task']
    trained = network is not None and 'checkpoint' not in network['source']
    roles = ['target_train', 'target_val'] + (['source'] if trained else [])
    return sorted({block[role]['folder'] for role in roles})


def _weights(network: Mapping[str, Any] | None, data_root: Path | None) -> list[dict[str, Any]]:
    """Files of weights that a network starts from, and whether they are there."""
    if network is None:
        return []
    source = network['source']
    file = source if 'checkpoint' in source else source.get('init') or {}
    if not file:
        return []
    there = data_root is not None and (data_root / file['checkpoint']).is_file()
    return [
        {
            'file': file['checkpoint'],
            'sha256': file.get('sha256'),
            'origin': file.get('origin'),
            'here': there,
        }
    ]


def _iterations(question: Question, network: Mapping[str, Any] | None) -> dict[str, int] | None:
    """Training iterations of the source model, once, and of the method, a seed."""
    if not question.judgeable or network is None:
        return None
    own = _method_iterations(run_text(question.told), str(question.told.task_id))
    return {'source': int(network['source'].get('iters', 0)), 'method': own}


@cache
def _method_iterations(run: str, task: str) -> int:
    name, params = parse_method(run)
    return sum(
        int(stage.get('iters', 0))
        for link in links_of(Method(name), params)
        for stage in link.method.stages(PROFILE, task, link.params)
    )
