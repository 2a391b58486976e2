"""ATP: the authors' trainers of align, teach and propagate, iteration by iteration.

Learning rates, losses, gradients, entries of every weight and statistic of the student, of every
weight of the teacher, and prototypes; groups of the optimiser, strong views and normalisation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sfda_bench.adapt import mixing
from sfda_bench.adapt.strong import StrongView, input_convention
from sfda_bench.registry import MODELS
from tests.fidelity.atp_networks import NETWORKS, network, of_teacher, recorded
from tests.fidelity.compare import Report, vectors
from tests.fidelity.replay import Replay, factors, spec_of

METHODS = ('atp', 'atp_align', 'atp_teach')
FACTS, ARRAYS = vectors('atp')
RUNS = FACTS['runs']
#: Theirs subtracts numbers near 1: the first rate is recorded to ten digits.
RATES = 1e-10


def built(run: Mapping[str, Any]) -> Replay:
    """A stage of the paper profile at the recorded start: the teacher is the student."""
    changes: dict[str, Any] = {'strong': {'jitter_probability': 0.0, 'blur_probability': 0.0}}
    spec = spec_of('atp', run['stage'], run['task'])
    if 'crop' in run:
        assert spec['adapter']['cbc_size'] == (640, 640)
        changes['cbc_size'] = (run['crop'], run['crop'])
    replay = Replay(spec, network(run['net'], run['task']), changes, run['start'])
    own = replay.adapter.state_dict()
    for key, value in recorded(run['net']).start.items():
        if key in own or not key.startswith('projection_head'):
            own[key].copy_(value)
            own[of_teacher(key)].copy_(value)
    return replay


def image(seed: int, size: tuple[int, int], number: int = 2) -> Tensor:
    """Coloured squares with noise, in normalised units."""
    draws = np.random.RandomState(seed)
    coarse = draws.standard_normal((number, 3, -(-size[0] // 16), -(-size[1] // 16)))
    field = coarse.repeat(16, axis=2).repeat(16, axis=3)[:, :, : size[0], : size[1]]
    return torch.from_numpy(1.2 * field + 0.2 * draws.standard_normal(field.shape))


def views(run: Mapping[str, Any], i: int) -> dict[str, Tensor]:
    """The views of iteration ``i`` of a run."""
    target = image(10 * i + 2, tuple(run['size']))
    if run['stage'] != 'propagate':
        return {'image': target}
    return {'easy': image(10 * i + 1, tuple(run.get('easy', run['size']))), 'hard': target}


class RecordedDraws:
    """Draws of corners by the recorded rule, for :mod:`mixing`."""

    def __init__(self) -> None:
        self.corners = 0

    def randint(self, high: int, size: tuple[int, ...]) -> Tensor:
        """A corner's coordinate; what cannot vary is no draw."""
        if high == 1:
            return torch.zeros(size, dtype=torch.int64)
        self.corners += 1
        drawn = np.random.RandomState(5000 + self.corners).randint(0, high)
        return torch.full(size, int(drawn))

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)


def recorded_classes(present: Tensor, weights: Tensor | None = None) -> Tensor:
    """The classes to paste: the first half of the one recorded permutation of so many."""
    chosen = torch.zeros_like(present)
    for row, there in zip(chosen, present, strict=True):
        ids = there.nonzero().flatten()
        order = np.random.RandomState(77 + len(ids)).permutation(len(ids))
        row[ids[torch.from_numpy(order)[: mixing.number_to_paste(len(ids))]]] = True
    return chosen


#: Ours takes the share of confident pixels in single precision, which weighs the mixed loss.
TOLERANCES = {'align': 1e-11, 'teach': 1e-11, 'propagate': 1e-8}
#: What each recorded loss is the sum of.
LOSSES = {
    'align': {'target': ('loss_entropy', 'loss_diversity')},
    'teach': {'target': ('loss_positive', 'loss_negative')},
    'propagate': {
        'easy': ('loss_easy_positive', 'loss_easy_negative'),
        'contrast': ('loss_contrast', 'loss_regulariser'),
        'mixed': ('loss_mixed_positive', 'loss_mixed_negative'),
    },
}


def compare_entries(
    report: Report, what: str, found: Mapping[str, np.ndarray], expected: np.ndarray
) -> None:
    """Compare the recorded entries of each tensor."""
    for (key, entries), values in zip(found.items(), expected.reshape(-1, 4), strict=True):
        report.add(f'{key} {what}', entries, values)


def compare_state(report: Report, at: str, name: str, replay: Replay) -> None:
    """Compare student, teacher and prototypes after an iteration."""
    run, found, own = RUNS[name.split('/')[0]], replay.adapter.state_dict(), replay.adapter
    net = recorded(run['net'])
    student = net.entries(found)
    compare_entries(report, f'of the student {at}', student, ARRAYS[f'{name}/student'])
    # without crops to choose nothing reads the teacher of `align`: ours rests
    if run['stage'] != 'align':
        weights = [key for key, p in own.named_parameters() if p.requires_grad]
        trained = {key: found[of_teacher(key)] for key in weights}
        teacher = net.entries(trained)
        compare_entries(report, f'of the teacher {at}', teacher, ARRAYS[f'{name}/teacher'])
    if run['stage'] == 'propagate':
        means = own.prototypes.mean.numpy().ravel()
        places = np.random.RandomState(9).randint(0, means.size, 300)
        report.add(f'prototypes {at}', means[places], ARRAYS[f'{name}/prototypes'])


@pytest.mark.parametrize('name', RUNS)
def test_trainer(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every recorded iteration of one run."""
    run = RUNS[name]
    parts = LOSSES[run['stage']]
    monkeypatch.setattr(mixing, 'torch', RecordedDraws())
    monkeypatch.setattr(mixing, 'draw_classes', recorded_classes)
    replay, report = built(run), Report(name, TOLERANCES[run['stage']])
    for i, record in enumerate(run['iterations']):
        at = f'at iteration {run["start"] + i}'
        report.add(f'rates {at}', replay.rates(), record['lr'], RATES)
        log = {key: float(value.detach()) for key, value in replay.step(views(run, i)).items()}
        found = {p: sum(log[t] for t in terms) for p, terms in parts.items() if terms[0] in log}
        assert list(found) == list(record['losses'])
        for part, expected in record['losses'].items():
            report.add(f'{part} {at}', found[part], expected)
        report.add(f'total {at}', log['loss'], record['total'])
        report.add(f'gradient {at}', replay.norms['student'], record['grad_norm'])
        compare_state(report, at, f'{name}/{i}', replay)
    report.check()


def test_rates() -> None:
    """The rate of all 40 000 iterations: a warm-up times a polynomial."""
    spec = spec_of('atp', 'teach', 'gta5_to_cityscapes')
    base, at = spec['optim_wrapper']['optimizer']['lr'], [int(i) for i in FACTS['lr']]
    assert spec['iters'] == max(at) + 1
    found = [base * factor for factor in factors(spec['param_scheduler'], spec['iters'], at)]
    report = Report('rates', RATES)
    for i, rate, expected in zip(at, found, FACTS['lr'].values(), strict=True):
        report.add(f'rate at iteration {i}', rate, expected)
    report.check()


@pytest.mark.parametrize('kind', NETWORKS)
def test_groups_of_the_optimiser(kind: str) -> None:
    """Factor on the rate and weight decay of every weight."""
    run = next(r for r in RUNS.values() if r['net'] == kind and r['stage'] == 'propagate')
    replay, net = built({**run, 'start': 0}), recorded(kind)
    names = {parameter: name for name, parameter in replay.adapter.named_parameters()}
    optimizer = replay.optim.optimizer
    found = {
        names[parameter]: [group['initial_lr'] / optimizer.defaults['lr'], group['weight_decay']]
        for group in optimizer.param_groups
        for parameter in group['params']
    }
    report = Report(kind, tolerance=1e-12)
    for key, expected in net.groups.items():
        report.add(key, found[net.places[key][0]], expected)
    assert set(found) == {net.places[key][0] for key in net.groups}
    report.check()


@pytest.mark.parametrize('number', [0, 1, 4, 5])
def test_strong_view(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jitter and blur of a batch, the draws replayed."""
    record = {k.split('/', 2)[2]: v for k, v in ARRAYS.items() if k.startswith(f'strong/{number}/')}
    jitters, blurs = (bool(switch) for switch in record['sw'])
    view = StrongView(**spec_of('atp', 'teach', 'gta5_to_cityscapes')['adapter'].get('strong', {}))
    drawn = []
    if jitters:
        factor = [record[f'p/{name}_factor'] for name in ('brightness', 'contrast', 'saturation')]
        change = np.stack([*(f - 1.0 for f in factor), record['p/hue_factor']])
        drawn.append(torch.from_numpy(change / view.jitter + 1.0) / 2.0)
    if blurs:
        low, high = view.blur_sigma
        drawn.append(torch.tensor((float(record['sigma']) - low) / (high - low)))
    monkeypatch.setattr(torch, 'rand', lambda *_: drawn.pop(0))
    if jitters:
        monkeypatch.setattr(torch, 'randperm', lambda _: torch.from_numpy(record['p/order']))
    preprocessor = MODELS.build(network('daformer', 'gta5_to_cityscapes')['data_preprocessor'])
    images = torch.from_numpy(record['x'])
    found = view(images, *input_convention(preprocessor), (jitters, blurs))
    monkeypatch.undo()
    assert not drawn
    # recorded in single precision; a grey level is 0.007 of the largest value
    report = Report(f'strong view {number}', tolerance=1e-5)
    report.add('view', found, record['y'])
    report.check()


@pytest.mark.parametrize('kind', NETWORKS)
def test_normalisation(kind: str) -> None:
    """From the file's colours (BGR as read) to what the networks get."""
    preprocessor = MODELS.build(network(kind, 'gta5_to_cityscapes')['data_preprocessor'])
    pixels = torch.from_numpy(ARRAYS['normalise/in']).permute(2, 0, 1)
    found = preprocessor({'inputs': [pixels], 'data_samples': None})['inputs'][0]
    report = Report(f'normalisation {kind}', tolerance=1e-6)
    report.add('image', found.permute(1, 2, 0), ARRAYS['normalise/out'])
    report.check()
