"""Kind ``gate``: a foreign checkpoint must show its stated score before anything starts from it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from sfda_bench.plan.model import StageDraft
from sfda_bench.plan.setup import Setup
from sfda_bench.store.filenames import COUNTS_NAME

INIT, HANDS_ON, IN_METHODS, SHARED = 'last', False, False, False
#: Images that are predicted once more to find what is wrong with a checkpoint that fails.
IMAGES = 20


def expected(setup: Setup) -> dict[str, Any] | None:
    """The score that the network's checkpoint must show on the task, if its card states one."""
    return setup.block['source'].get('expected', {}).get(setup.task['name'])


def draft(setup: Setup, spec: Mapping[str, Any], parent: str | None) -> StageDraft:
    """The stage that compares a score with the one expected.

    Args:
        setup: Task, network, protocols.
        spec: ``scored``, the score stage; ``card``, see :func:`expected`.
        parent: Id of the score stage.
    """
    scored, source = spec['scored'], setup.block['source']
    config = copy.deepcopy(scored.config)
    block = {key: value for key, value in setup.block.items() if key != 'source'}
    config['stage'] = {
        'kind': 'gate',
        'name': 'gate',
        'sealed': False,
        'gate': {
            **spec['card'],
            'scoring': setup.scoring.ref,
            'images': IMAGES,
            'network': block,
        },
        'gate_counts': f'stage://scored/{COUNTS_NAME}',
        'origin': str(source.get('checkpoint', '')),
    }
    reads = {'scored': str(parent)}
    return StageDraft(config, 'gate', f'gate {scored.title}', scored.data, reads=reads)
