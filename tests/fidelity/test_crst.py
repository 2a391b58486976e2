"""CBST and CRST: a round of ``crst_seg.py``: prediction, thresholds, labels, training steps.

Recorded and replayed in float32, one thread. The network multiplies rounding: convolutions that sum
in another order flip the signs of activations near 0, and every flip is a step in the gradient.
:data:`ROUNDING` is what that does here, measured: each method's iterations on the same weights with
the images scaled by 1 + 6e-8 normal (three draws), in channels-last layout and without oneDNN. The
recording lies within the spread of these runs. Allowed is twice the spread. Draws of the loader
(scale, mirror, crop) are not recorded: its crops are given.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from sfda_bench.adapt.thresholds import BINS
from sfda_bench.networks.declare import for_task
from sfda_bench.plan import catalog
from sfda_bench.registry import METRICS
from tests.fidelity.compare import Report, vectors
from tests.fidelity.replay import Replay, spec_of
from tests.fidelity.rules import fill, normal_weight, positions

# no METHODS: without source data the methods are our readings, and with it batches are drawn
# otherwise; their cards say so
FACTS, ARRAYS = vectors('crst')
TASK = 'gta5_to_cityscapes'
BATCHES = {
    name: batches for names, batches in FACTS['batches'].items() for name in names.split(', ')
}
#: Crops of source images.
SOURCE = (0, 4)
#: Largest difference of two runs that differ in rounding alone, by iteration: of a loss and of
#: the length of a tensor's step, relative; the median of the latter over the tensors; and of a
#: weight, in root mean squares of its tensor's step, root mean square over all that were recorded.
ROUNDING = {
    'loss': (4.1e-7, 1.5e-5, 2.5e-5),
    'step': (1.1e-3, 3.3e-3, 1.0e-2),
    'median': (7.8e-5, 2.2e-4, 5.6e-4),
    'weight': (5.4e-3, 1.3e-2, 3.5e-2),
}
#: Of probabilities: hundreds of float32 sums of order 1.
PROBABILITY = 1e-5
#: Widest bin of the confidence histograms, see ``sfda_bench.adapt.thresholds``.
BIN = 6.2e-5


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As recorded: several threads sum in another order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def network() -> dict:
    """The network of the methods' suite, with the layers of the recording."""
    model = for_task(catalog.load('networks', 'deeplabv2_r101_rgb'), TASK)['model']
    model['backbone'].update(depth=50)
    return model


def crst_name(key: str) -> str:
    """The authors' name of a parameter."""
    return key.replace('decode_head.', 'layer5.').removeprefix('backbone.')


def crst_weight(name: str, noise: np.ndarray) -> np.ndarray:
    """The rule of the recording: a firm head, mild last scales of a block."""
    factor = 3.0 if name.startswith('layer5') and noise.ndim > 1 else 1.0
    return normal_weight(name, noise) * (0.3 if name.endswith('bn3.weight') else factor)


@functools.cache
def start() -> dict[str, Tensor]:
    """The start by the authors' names; statistics and one bias are stored."""
    shapes = {name: tuple(shape) for name, shape in FACTS['keys']}
    state = fill(shapes, crst_weight)
    state['layer5.conv2d_list.0.bias'] = torch.from_numpy(ARRAYS['start/head_bias'])
    names = [name for name in shapes if name.endswith(('running_mean', 'running_var'))]
    sizes = [shapes[name][0] for name in names]
    parts = torch.from_numpy(ARRAYS['start/running']).split(sizes)
    return {**state, **dict(zip(names, parts, strict=True))}


def built(method: str, stage: str, params: dict | None = None, **changes: str) -> Replay:
    """A stage of a method as the paper profile has it, at the recorded start."""
    spec = spec_of(method, stage, TASK, params)
    replay = Replay(spec, network(), changes, dtype=torch.float32)
    state = start()
    replay.load({key: state[crst_name(key)] for key in replay.adapter.student.state_dict()})
    return replay


def images(bgr: np.ndarray) -> Tensor:
    """Images (N, H, W, 3) as the network gets them, by its own convention."""
    convention = network()['data_preprocessor']
    pixels = bgr[..., ::-1] if convention['bgr_to_rgb'] else bgr
    centred = (pixels - np.array(convention['mean'])) / np.array(convention['std'])
    return torch.from_numpy(np.ascontiguousarray(centred.transpose(0, 3, 1, 2))).float()


@pytest.fixture(scope='module')
def maps() -> Tensor:
    """Probabilities (N, C, H, W) of the whole images from the authors' reduced ones."""
    torch.set_num_threads(1)
    predictor = built('cbst', 'threshold0').adapter.eval()
    assert (predictor.scale, predictor.flip) == (0.9, True)
    predictor.scale = 1.0
    size = ARRAYS['predict/bgr'].shape[1:3]
    reduced = images(ARRAYS['predict/resized_bgr'])
    return torch.cat([predictor.probabilities(image[None], size) for image in reduced])


def test_probabilities_of_both_flips(maps: Tensor) -> None:
    """Enlarged to the size of the file with corners aligned, averaged over mirrorings."""
    found = maps.permute(0, 2, 3, 1)[:, ::9, ::9]
    expected = ARRAYS['predict/probabilities_every_9']
    assert np.abs(found.numpy() - expected).max() < PROBABILITY


def test_reduced_images() -> None:
    """Ours is bilinear, too, at the same places, but not rounded: within a grey level.

    Half a level is rounded at the end, a quarter by weights in 1/2048, the rest between the axes.
    Aligned corners are off by six levels, an antialiased filter by thirteen.
    """
    pixels = torch.from_numpy(ARRAYS['predict/bgr'].transpose(0, 3, 1, 2).astype(np.float32))
    expected = torch.from_numpy(ARRAYS['predict/resized_bgr'].transpose(0, 3, 1, 2).copy())
    shape = [round(0.9 * side) for side in pixels.shape[-2:]]
    found = interpolate(pixels, size=shape, mode='bilinear', align_corners=False)
    assert (found - expected).abs().max() < 1.0
    # as the predictor itself does it, on a network that shows its input
    predictor = built('cbst', 'threshold0').adapter
    seen = []
    predictor.logits = lambda image, size: seen.append(image) or torch.zeros(1, 19, *size)
    predictor.probabilities(pixels[:1], (80, 160))
    assert torch.equal(seen[0], found[:1]) and torch.equal(seen[1], found[:1].flip(dims=(3,)))


def samples(maps: Tensor) -> list[dict]:
    return [{'sample_id': f'{i}', 'probabilities': each} for i, each in enumerate(maps)]


@pytest.mark.parametrize('index', range(3))
def test_thresholds(index: int, maps: Tensor, tmp_path: Path) -> None:
    """Thresholds at the round's portion, wanted numbers of pixels, classes that are mined."""
    assert BINS * BIN > 1
    config = spec_of('cbst', f'threshold{index}', TASK)['writer']
    writer = METRICS.build({**config, 'out_dir': str(tmp_path / 'artifacts')})
    writer.process(None, samples(maps))
    writer.evaluate(len(maps))
    found = json.loads((tmp_path / 'artifacts' / 'thresholds.json').read_text())
    below = ARRAYS[f'round{index}/theta'] - np.array(found['theta'])
    assert below.min() > -PROBABILITY and below.max() < BIN + PROBABILITY
    assert found['requested'] == ARRAYS[f'round{index}/selected'].tolist()
    # theirs sorts in another way among classes of one size
    assert sorted(found['rare']) == sorted(ARRAYS[f'round{index}/mine'])


def theta_file(folder: Path, index: int) -> str:
    """The recorded thresholds as a stage of ours leaves them."""
    theta = ARRAYS[f'round{index}/theta'].astype(float).tolist()
    content = {
        'theta': theta, 'tie_keep': [1.0] * len(theta), 'portion': 0.0, 'rare': [],
        'pixels': [1] * len(theta),
    }  # fmt: skip
    path = folder / 'thresholds.json'
    path.write_text(json.dumps(content))
    return str(path)


@pytest.mark.parametrize('index', range(3))
@pytest.mark.parametrize('method', ['cbst', 'crst_lrent'])
def test_labels(method: str, index: int, maps: Tensor, tmp_path: Path) -> None:
    """Equal but for pixels that are their class's threshold to the last bits."""
    config = spec_of(method, f'label{index}', TASK)['writer']
    changes = {'out_dir': str(tmp_path), 'thresholds': theta_file(tmp_path, index)}
    writer = METRICS.build({**config, **changes})
    found = torch.stack([writer.label(each, seed=0) for each in maps])
    name = 'hard_labels' if method == 'cbst' else 'lrent_labels'
    expected = torch.from_numpy(ARRAYS[f'round{index}/{name}'].astype(np.int64))
    assert 0.1 < float((expected != 255).float().mean()) < 0.5
    theta = torch.from_numpy(ARRAYS[f'round{index}/theta']).view(1, -1, 1, 1)
    at_threshold = ((maps - theta).abs() < PROBABILITY).any(dim=1)
    assert int(at_threshold.sum()) < 50
    assert torch.equal(found[~at_threshold], expected[~at_threshold])


def views(method: str, crops: list[int]) -> dict[str, Tensor]:
    """The crops of a batch by branch, with their labels."""
    items = 'items_lrent' if 'lrent' in method else 'items_hard'
    found = {}
    for name, wanted in (('source', True), ('target', False)):
        chosen = [crop for crop in crops if (crop in SOURCE) is wanted]
        branch = name if method.endswith('_uda') else 'image'
        if chosen:
            found[branch] = images(ARRAYS[f'{items}/bgr'][chosen])
            labels = ARRAYS[f'{items}/label'][chosen].astype(np.int64)
            found[f'{branch}_label'] = torch.from_numpy(labels)
    return found


def compare_steps(report: Report, at: int, before: dict, now: dict, key: str, way: dict) -> None:
    """Compare the steps of all tensors of one iteration, and the ways of single weights."""
    norms, entries = ARRAYS[f'{key}/update_norm'][at], ARRAYS[f'{key}/sample'][at]
    lengths, squares = [], []
    for name, norm, expected in zip(FACTS['trained'], norms, entries, strict=True):
        step = float((now[name].double() - before[name].double()).norm())
        what = f'{name} at iteration {at}'
        if norm == 0:  # batch norm: neither statistics nor scale and shift move
            report.add(f'step of {what}', step, 0.0, 0.0)
            continue
        report.add(f'step of {what}', step, norm, 2 * ROUNDING['step'][at])
        lengths.append(abs(step - norm) / norm)
        moved = (now[name].double() - way[name].double()).flatten().numpy()
        place = positions(name, moved.size, len(expected))
        squares.append(((moved[place] - expected) * np.sqrt(moved.size) / norm) ** 2)
    median, weight = float(np.median(lengths)), float(np.sqrt(np.mean(squares)))
    report.add(f'median at {at}', median, 0.0, 2 * ROUNDING['median'][at], 1.0)
    report.add(f'weights at {at}', weight, 0.0, 2 * ROUNDING['weight'][at], 1.0)


def state(replay: Replay) -> dict[str, Tensor]:
    """A copy of the student's tensors by the authors' names."""
    found = replay.adapter.student.state_dict()
    return {crst_name(key): value.clone() for key, value in found.items()}


@pytest.mark.parametrize('method', BATCHES)
def test_training(method: str, tmp_path: Path) -> None:
    """Losses, rates and steps, with the parameters repeated as in the authors' optimiser.

    The recording is of their list of parameters under a current PyTorch. Soft labels of the
    recording are those of the crop: ``labels='view'``.
    """
    params, changes = {}, {}
    if method == 'crst_lrent_uda':
        params, changes = {'adapter.labels': 'view'}, {'thresholds': theta_file(tmp_path, 0)}
    replay, report = built(method, 'train0', params, **changes), Report(method, 1e-12)
    key, first = f'{method}/new', state(replay)
    for i, crops in enumerate(BATCHES[method]):
        report.add(f'rates at {i}', replay.rates(), ARRAYS[f'{key}/lr'][i])
        before = state(replay)
        loss = replay.step(views(method, crops))['loss']
        report.add(f'loss at {i}', loss, ARRAYS[f'{key}/loss'][i], 2 * ROUNDING['loss'][i])
        compare_steps(report, i, before, state(replay), key, first)
    report.check()
