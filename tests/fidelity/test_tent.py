"""Tent and batch-norm adaptation on a stream of four images: the code of Tent's authors.

Its network is forwarded once an image and returns the logits from before the step of the last pass;
recorded, too, is what the parameters that it leaves would predict.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from tests.fidelity import streets
from tests.fidelity.compare import Report, vectors
from tests.fidelity.replay import Replay, spec_of

METHODS = ('tent_online', 'tent_continual', 'tent_episodic')
FACTS, ARRAYS = vectors('tent')
SIZE = (33, 65)
#: The recorded weights were rounded in single precision, in another order than ours.
TOLERANCE = 2e-6


def built(method: str, changes: dict[str, Any], rate: float | None = None) -> Replay:
    """A stream method at its recorded start."""
    spec = spec_of(method, 'stream', 'cityscapes_to_acdc')
    if rate is not None:
        spec['optim_wrapper']['optimizer']['lr'] = rate
    replay = Replay(spec, streets.network('deeplabv2_r101'), changes)
    replay.load(streets.weights(replay.adapter.student))
    replay.adapter.configure(replay.optim)
    return replay


def stream(replay: Replay, images: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> list:
    """Adapt to one batch as the loop does; the logits of each forward pass before a step."""
    adapter, passes = replay.adapter, []
    adapt = type(adapter).adapt

    def noted(self: Any, *args: Any) -> torch.Tensor:
        passes.append(adapt(self, *args))
        return passes[-1]

    monkeypatch.setattr(type(adapter), 'adapt', noted)
    monkeypatch.setattr(type(adapter), 'finished', lambda self, maps, samples: maps)
    adapter.train()
    batch = {'inputs': images, 'data_samples': []}
    if adapter.reset_on == 'image':
        batch['data_samples'] = [NoLabels()]
    predicted = adapter.adapt_step(batch, replay.optim)
    monkeypatch.undo()
    return [*passes, predicted]


class NoLabels(dict):
    """A sample of a stream: no labels, nothing known."""

    metainfo: ClassVar[dict] = {}


def after(replay: Replay, images: torch.Tensor) -> torch.Tensor:
    """What the parameters predict with the statistics of the batch."""
    with torch.no_grad():
        return replay.adapter.logits_of(replay.adapter.student, images)


def images_of(case: dict[str, Any], step: int) -> torch.Tensor:
    """The batch of one step."""
    many = case.get('batch', 1)
    return torch.cat([streets.image(1300 + step * many + k, SIZE) for k in range(many)])


CASES = [
    ('tent_online', 'online'),
    ('tent_continual', 'online'),
    ('tent_online', 'online_strong'),
    ('tent_episodic', 'episodic'),
    ('tent_online', 'two_steps'),
    ('tent_online', 'batches_of_four'),
]


@pytest.mark.parametrize(('method', 'name'), CASES)
def test_stream(method: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Logits before and after each step, entropy, and the way of every scale and shift."""
    case = FACTS['cases'][name]
    recorded = {key.split('/')[1]: ARRAYS[key] for key in ARRAYS if key.startswith(f'{name}/')}
    # the published rate is the paper profile's own: only the others are set
    rate = None if name == 'online' else case['lr']
    replay, report = built(method, {'steps': case['steps']}, rate), Report(name, TOLERANCE)
    keys = {streets.advent_name(k): k for k in replay.adapter.student.state_dict()}
    trained = [keys[key] for key in recorded['keys']]
    start = {k: v.clone() for k, v in replay.adapter.student.state_dict().items()}
    report.add('rate', replay.rates(), [case['lr']], 1e-12)
    assert set(trained) == {
        name for name, p in replay.adapter.student.named_parameters() if p.requires_grad
    }
    for i in range(len(recorded['logits'])):
        images = images_of(case, i)
        passes = stream(replay, images, monkeypatch)
        report.add(f'logits {i}', passes[case['steps'] - 1][0], recorded['logits'][i])
        report.add(f'entropy {i}', replay.adapter.loss_value, recorded['entropy'][i])
        # recorded on image i alone; Adam's first step is a sign, which rounding can turn
        left = after(replay, streets.image(1300 + i, SIZE))
        report.add(f'logits after {i}', left[0], recorded['after'][i], 1e-5)
        if replay.adapter.predict_when == 'after':
            report.add(f'prediction {i}', passes[-1][0], recorded['after'][i], 1e-5)
        else:
            report.add(f'prediction {i}', passes[-1][0], passes[0][0].detach(), 0.0)
        now = replay.adapter.student.state_dict()
        for key, expected in zip(trained, recorded['change'][i], strict=True):
            way = (now[key] - start[key]).numpy().ravel()
            found = [np.linalg.norm(way), way @ np.cos(np.arange(way.size))]
            report.add(f'{key} {i}', found, expected, 1e-3, max(expected[0], 1e-9))
    report.check()


@pytest.mark.parametrize('layer', ['batch', 'running'])
def test_batch_norm_adaptation(layer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`norm.py`: the batch normalises; running statistics follow with momentum 0.1, unused.

    Ours normalises with the running statistics: at momentum 1 with the batch's alone.
    """
    changes = {'momentum': 1.0} if layer == 'batch' else {'momentum': 0.0, 'norm_mode': 'train'}
    replay, report = built_norm(changes), Report('norm', TOLERANCE)
    for i in range(4):
        logits = stream(replay, streets.image(1300 + i, SIZE), monkeypatch)[-1]
        report.add(f'logits {i}', logits[0], ARRAYS['norm/logits'][i])
    if layer == 'running':
        now = replay.adapter.student.state_dict()
        keys = {streets.advent_name(k): v for k, v in now.items()}
        for key, expected in zip(ARRAYS['norm/keys'], ARRAYS['norm/running'], strict=True):
            values = keys[key]
            report.add(key, [values.sum(), (values**2).sum()], expected)
    report.check()


def built_norm(changes: dict[str, Any]) -> Replay:
    """Batch-norm adaptation has no optimiser."""
    spec = spec_of('bn_adapt_online', 'stream', 'cityscapes_to_acdc')
    replay = Replay(spec, streets.network('deeplabv2_r101'), changes)
    replay.load(streets.weights(replay.adapter.student))
    replay.adapter.configure(None)
    return replay
