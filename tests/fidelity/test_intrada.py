"""AdvEnt, MinEnt and IntraDA: the training loops of ADVENT and IntraDA, iteration by iteration.

Both optimisers, weights and statistics of the network and of the discriminators, losses, gradients
and learning rates.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from torch import Tensor, nn

from sfda_bench.adapt import discriminator as judges
from sfda_bench.adapt import losses as shared
from sfda_bench.methods.advent import losses as advent
from sfda_bench.plan import catalog
from sfda_bench.plan.method import merge
from tests.fidelity import streets
from tests.fidelity.compare import Report, vectors
from tests.fidelity.replay import Replay, factors, spec_of
from tests.fidelity.rules import fill

#: The source-free reading is replayed, too, but it is ours: its card says reconstructed.
METHODS = ('advent', 'minent', 'intrada_uda')
FACTS, ARRAYS = vectors('intrada')
CASES = {case['name']: case for case in FACTS['cases']}
#: Our name of a branch by the place of its recording.
BRANCHES = {'adapt': ('source', 'target'), 'intra': ('easy', 'hard')}


class Calls(list):
    """Values that a loss function returned, in order."""

    def __init__(self, function: Any, monkeypatch: pytest.MonkeyPatch, *places: Any) -> None:
        def wrapped(*args: Any) -> Tensor:
            value = function(*args)
            self.append(float(value.detach()))
            return value

        for place in places:
            monkeypatch.setattr(place, function.__name__, wrapped)


def built(case: dict[str, Any]) -> Replay:
    """The stage of a case as the paper profile has it, with the recorded start."""
    spec = spec_of(case['method'], case['stage'], case['task'])
    kind = 'deeplabv2_r101_multi' if case['multi'] else 'deeplabv2_r101'
    changes: dict[str, Any] = {'split': None} if 'split' in spec['adapter'] else {}
    if case['weights']:
        names = ('adversarial_main', 'adversarial_auxiliary')
        changes['losses'] = {
            name: {'loss_weight': weight}
            for name, weight in zip(names, case['weights'], strict=True)
        }
    replay = Replay(spec, streets.network(kind, case['task']), changes)
    replay.load(streets.weights(replay.adapter.student))
    for prefix, discriminator in zip(
        ('main.', 'aux.'), replay.adapter.discriminators, strict=False
    ):
        shapes = {prefix + k: tuple(v.shape) for k, v in discriminator.state_dict().items()}
        state = fill(shapes)
        discriminator.load_state_dict({k.removeprefix(prefix): v for k, v in state.items()})
    return replay


def flat(module: nn.Module, names: dict[str, str]) -> dict[str, np.ndarray]:
    """Every tensor of a module by the authors' name."""
    return {
        names[key]: value.detach().double().numpy().ravel().copy()
        for key, value in module.state_dict().items()
    }


def change(now: np.ndarray, start: np.ndarray) -> np.ndarray:
    """What was recorded of a tensor: length of its way, its product with a wave, three values."""
    way = now - start
    first = np.zeros(3)
    first[: min(3, way.size)] = way[:3]
    return np.r_[np.linalg.norm(way), way @ np.cos(np.arange(way.size)), first]


def compare_states(
    report: Report,
    at: str,
    recorded: np.ndarray,
    keys: list[str],
    states: tuple[dict, dict],
    tolerance: float,
) -> None:
    """Compare each tensor's way with the recorded one, relative to the way itself."""
    start, now = states
    for key, expected in zip(keys, recorded, strict=True):
        found = change(now[key], start[key])
        scale = max(abs(expected[0]), 1e-9)
        report.add(f'{key} {at}', found, expected, tolerance, scale)


def losses(case: dict[str, Any], segmentation: Calls, domain: Calls, entropy: Calls) -> list[float]:
    """Our values in the recorded order; what a case has not is 0."""
    heads = len(segmentation)
    found = dict.fromkeys(case['loss_names'], 0.0)
    for head, name in zip(range(heads), ('main', 'aux'), strict=False):
        found[f'loss_seg_src_{name}'] = segmentation[head]
        if entropy:
            found[f'loss_ent_{name}'] = entropy[head]
        if domain:
            found[f'loss_adv_trg_{name}'] = domain[head]
            # recorded of a discriminator: its loss on the other branch, halved
            found[f'loss_d_{name}'] = domain[heads + 2 * head + 1] / 2
    return [found[name] for name in case['loss_names']]


SCHEDULES = {entry['name']: entry for entry in json.loads(str(ARRAYS['rates/index']))}


@pytest.mark.parametrize('name', SCHEDULES)
def test_schedule(name: str) -> None:
    """The rate's factor over the first 1 500 iterations, and by the closed form to the end."""
    entry = SCHEDULES[name]
    if entry['network']:
        spec = catalog.load('networks', entry['network'])['network']['source']
    else:
        spec = spec_of(entry['method'], entry['stage'], entry['task'])
    (schedule,) = spec['param_scheduler']
    assert spec['iters'] == entry['iterations']
    near = [i for i in entry['at'] if i <= 1500]
    report = Report(name, tolerance=1e-12)
    report.add('factors', factors([schedule], spec['iters'], near), entry['factor'][: len(near)])
    horizon = schedule.get('end', spec['iters'] + 1) - 1
    closed = [(1 - i / horizon) ** schedule['power'] for i in entry['at']]
    report.add('factors to the end', closed, entry['factor'])
    report.check()


@pytest.mark.parametrize('kind', ['as_is', 'frozen'])
def test_source_recipe(kind: str) -> None:
    """Source training of UDAclustering: its own batch norm, and the option that freezes it."""
    case = FACTS['source_recipe']
    recipe = catalog.load('networks', case['network'])['network']['source']
    changes = recipe['model']
    if kind == 'frozen':
        changes = merge(changes, {'backbone': {'norm_cfg': {'requires_grad': False}}})
    model = streets.network(case['network'])
    replay, report = Replay(recipe, model, changes), Report(f'source {kind}', tolerance=1e-6)
    replay.load(streets.weights(replay.adapter))
    names = {key: streets.advent_name(key) for key in replay.adapter.state_dict()}
    start, size = flat(replay.adapter, names), tuple(case['size'])
    for i in range(case['iterations']):
        seed, at = case['seed'] + i, f'at iteration {i}'
        views = {
            'image': streets.image(seed, size),
            'image_label': streets.labels(seed + 100, size, 19),
        }
        log = replay.step(views)
        report.add(f'loss {at}', log['loss'], ARRAYS[f'source/{kind}/losses'][i])
        recorded = ARRAYS[f'source/{kind}/state0'][i]
        states = (start, flat(replay.adapter, names))
        compare_states(report, at, recorded, case['keys'], states, 1e-6)
    report.check()


@pytest.mark.parametrize('name', CASES)
def test_training_loop(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every recorded iteration of one case."""
    case = CASES[name]
    record = {key: ARRAYS[f'{name}/{key}'] for key in ('losses', 'rates', 'gradient_norm')}
    segmentation = Calls(shared.label_loss, monkeypatch, shared)
    domain = Calls(judges.domain_loss, monkeypatch, judges)
    entropy = Calls(advent.normalised_entropy, monkeypatch, advent)
    replay, report = built(case), Report(name, tolerance=1e-6)
    parts: list[tuple[nn.Module, dict[str, str]]] = [
        (
            replay.adapter.student,
            {k: streets.advent_name(k) for k in replay.adapter.student.state_dict()},
        )
    ]
    parts += [(d, {k: k for k in d.state_dict()}) for d in replay.adapter.discriminators]
    starts = [flat(module, names) for module, names in parts]
    labelled, other = BRANCHES[case['stage']]
    for i in range(case['iterations']):
        for calls in (segmentation, domain, entropy):
            calls.clear()
        source, target = tuple(case['source']), tuple(case['target'])
        at = f'at iteration {i}'
        report.add(f'rates {at}', replay.rates('student'), record['rates'][i], 1e-12)
        replay.step(
            {
                labelled: streets.image(case['seed'] + i, source),
                f'{labelled}_label': streets.labels(
                    case['seed'] + 100 + i, source, case['classes']
                ),
                other: streets.image(case['seed'] + 200 + i, target),
            }
        )
        report.add(f'losses {at}', losses(case, segmentation, domain, entropy), record['losses'][i])
        report.add(f'gradient {at}', replay.norms['student'], record['gradient_norm'][i])
        for number, ((module, names), start) in enumerate(zip(parts, starts, strict=True)):
            recorded = ARRAYS[f'{name}/state{number}'][i]
            keys = case['keys'][min(number, 1)]
            # Adam's first steps are signs: what is rounded in a gradient near 0 shows at once
            tolerance = 1e-5 if number else 1e-6
            states = (start, flat(module, names))
            compare_states(report, at, recorded, keys, states, tolerance)
    report.check()
