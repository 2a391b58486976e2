"""IAPC: what its authors' program did that does not depend on the images of its iterations.

The rule of those images is not at hand, so losses and gradients are compared in micro-cases only
(``tests/methods/test_iapc.py``). Replayed here: the start, what is trained, rates over the start
and the junction of the schedule, the memory network's average, class weights, the two updates of
the statistics an iteration, and every outcome of the colour policy with its probability.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from numpy.random import RandomState
from PIL import Image

from sfda_bench.adapt import colour_policy
from sfda_bench.adapt.class_weights import RareClassWeights
from sfda_bench.adapt.mean_teacher import update_average
from sfda_bench.networks.declare import for_task
from sfda_bench.plan import catalog
from tests.fidelity import streets
from tests.fidelity.compare import Report, vectors
from tests.fidelity.replay import Replay, spec_of
from tests.fidelity.rules import fill, grey_level_weight, samples

FACTS, ARRAYS = vectors('iapc')
CASES = {name: case for name, case in FACTS['cases'].items() if name != 'colour'}
TASKS = {16: 'synthia_to_cityscapes', 19: 'gta5_to_cityscapes'}


def built(name: str, start: int | None = None) -> Replay:
    """The adapter of a case as the paper profile has it, on a ResNet-50 of width 8."""
    case = CASES[name]
    task = TASKS[case['classes']]
    model = for_task(catalog.load('networks', 'deeplabv2_r101'), task)['model']
    model['backbone'].update(depth=50, base_channels=8, stem_channels=8)
    model['decode_head'].update(in_channels=256)
    first = case['first'] if start is None else start
    replay = Replay(spec_of('iapc', 'adapt', task), model, start=first)
    names = {key: streets.advent_name(key) for key in replay.adapter.student.state_dict()}
    state = replay.adapter.student.state_dict()
    filled = fill({names[k]: tuple(v.shape) for k, v in state.items()}, grey_level_weight)
    replay.load({key: filled[name] for key, name in names.items()})
    return replay


@pytest.mark.parametrize('name', ['gta5', 'synthia'])
def test_start(name: str) -> None:
    """The memory network before its first update is the start; the tensors that are trained."""
    replay, report = built(name), Report(f'{name} start', tolerance=1e-7)
    student = {streets.advent_name(k): p for k, p in replay.adapter.student.named_parameters()}
    keys = CASES[name]['trained_keys']
    assert {k for k, p in student.items() if p.requires_grad} == set(keys)
    for key, expected in zip(keys, ARRAYS[f'{name}/memory'][0], strict=True):
        found = student[key].detach()
        report.add(key, [*samples(key, found), float(found.sum())], expected)
    report.check()


@pytest.mark.parametrize('name', CASES)
def test_rates(name: str) -> None:
    """Rates of backbone and head, also where the two parts of the schedule meet."""
    replay, report = built(name), Report(f'{name} rates', tolerance=1e-12)
    for i, expected in enumerate(ARRAYS[f'{name}/lr']):
        report.add(f'iteration {i}', replay.rates(), expected)
        replay.advance()
    report.check()


class Recorded(torch.nn.Module):
    """Recorded entries of a network's weights, as a network of their own."""

    def __init__(self, values: np.ndarray) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.from_numpy(values.copy()))


@pytest.mark.parametrize('name', CASES)
def test_memory_network(name: str) -> None:
    """The average over the student's weights, from iteration to iteration."""
    momentum = spec_of('iapc', 'adapt', TASKS[CASES[name]['classes']])['hooks']['teacher'][
        'momentum'
    ]
    memory, student = ARRAYS[f'{name}/memory'], ARRAYS[f'{name}/student']
    report = Report(f'{name} memory', tolerance=1e-12)
    for i in range(1, len(memory)):
        average = Recorded(memory[i - 1])
        update_average(average, Recorded(student[i - 1]), momentum)
        report.add(f'iteration {i}', average.weight, memory[i])
        # the sums, last, would hide the step of single weights
        way = (average.weight.detach().numpy() - memory[i - 1])[:, :4]
        scale = np.abs(memory[i] - memory[i - 1])[:, :4].max()
        report.add(f'step {i}', way, (memory[i] - memory[i - 1])[:, :4], 1e-6, scale)
    report.check()


@pytest.mark.parametrize('name', CASES)
def test_class_weights(name: str) -> None:
    """What is remembered of classes that are missing."""
    recorded, classes = ARRAYS[f'{name}/often'], CASES[name]['classes']
    weights, report = RareClassWeights(classes).double(), Report(f'{name} often', tolerance=1e-6)
    before = np.ones(classes)
    for i, expected in enumerate(recorded):
        present = np.flatnonzero((expected - 0.9 * before) / 0.1 < 4.0)
        before = expected
        weights(torch.from_numpy(np.tile(present, (2, 3, 1))))
        report.add(f'iteration {i}', weights.often, expected)
    report.check()


def test_two_updates_of_the_statistics_an_iteration() -> None:
    """The forward after the step counts as the training forward does, and moves nothing else."""
    replay, recorded = built('gta5'), ARRAYS['gta5/batches_tracked']
    draws, size = RandomState(0), (33, 65)
    views = {
        name: torch.from_numpy(40.0 * draws.standard_normal((2, 3, *size)))
        for name in ('source', 'memory', 'student', 'clean')
    }
    views['student_label'] = torch.from_numpy(draws.randint(0, 19, (2, *size)))
    for expected in recorded[:2]:
        replay.step(views)
        counts = {int(b) for n, b in replay.adapter.student.named_buffers() if 'tracked' in n}
        assert counts == {int(expected)}


def outcomes(image: np.ndarray) -> dict[bytes, float]:
    """Every image that the colour policy can make of one, with its probability."""
    found: dict[bytes, float] = defaultdict(float)
    for policy in colour_policy.POLICY:
        made = [(Image.fromarray(np.ascontiguousarray(image[:, :, ::-1])), 1 / 18)]
        for operation in policy:
            made = [step for before in made for step in applied(*before, operation)]
        for result, probability in made:
            found[np.asarray(result)[:, :, ::-1].tobytes()] += probability
    return found


def applied(
    image: Image.Image, probability: float, operation: colour_policy.Operation
) -> Iterator[tuple[Image.Image, float]]:
    """An operation left out, or applied; with either sign where one is drawn."""
    chance, name, level = operation
    if chance < 1.0:
        yield image, probability * (1.0 - chance)
    if chance == 0.0:
        return
    apply, amount = colour_policy._OPERATIONS[name], colour_policy.strength(name, level)
    signs = (-1, 1) if name in ('color', 'contrast', 'sharpness') else (1,)
    for sign in signs:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(np.random, 'choice', lambda _, sign=sign: sign)
            yield apply(image, amount), probability * chance / len(signs)


def test_every_outcome_of_the_colour_policy() -> None:
    """The recorded outcomes on one image, and nothing else, each as likely as recorded."""
    image = RandomState(4242).randint(0, 256, (24, 32, 3)).astype(np.uint8)
    found = outcomes(image)
    recorded: dict[bytes, float] = defaultdict(float)
    pairs = zip(ARRAYS['colour/outcomes'], ARRAYS['colour/probability'], strict=True)
    for result, probability in pairs:
        recorded[result.tobytes()] += float(probability)
    assert set(found) == set(recorded)
    assert {k: found[k] for k in recorded} == pytest.approx(dict(recorded), abs=1e-12)
