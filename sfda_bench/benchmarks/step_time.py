"""A method's step against the bare passes that it needs."""

from __future__ import annotations

import contextlib
import copy
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sfda_bench.plan import catalog
from sfda_bench.plan.method import Method

LIMIT = 1.10
CLASSES = 19


@dataclass(frozen=True)
class Timing:
    """How a step is timed.

    Attributes:
        network: Name of the network.
        size: (height, width) of the images.
        batch: Images a branch.
        repeats: Steps of each kind.
        device: ``'cpu'`` or ``'cuda'``.
    """

    network: str = 'cgnet'
    size: tuple[int, int] = (256, 512)
    batch: int = 2
    repeats: int = 5
    device: str = 'cpu'


def prepare_process() -> None:
    """Import torch and allocate memory as a stage's process does, on one thread."""
    from sfda_bench.stack import import_stack, keep_freed_memory

    import_stack()
    keep_freed_memory()
    import torch

    torch.set_num_threads(1)


def stages_of(names: list[str] | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Adapting stages, each kind of step once, with their method's name."""
    seen: list[Any] = []
    for name in names or catalog.names('methods'):
        for stage in Method(name).stages('paper', 'gta5_to_cityscapes', {}):
            adapter = stage.get('adapter')
            if not adapter or stage.get('kind', 'adapt') != 'adapt':
                continue
            kind = {key: value for key, value in adapter.items() if 'stage://' not in str(value)}
            if kind not in seen:
                seen.append(kind)
                yield f'{name}: {stage["name"]}', stage


def branches(stage: dict[str, Any]) -> tuple[list[str], list[Any]]:
    """Names of a stage's branches, and where their labels come from."""
    data = stage.get('data')
    labels = data.get('labels') if isinstance(data, dict) else None
    if 'CropStreams' in str(stage.get('pack')):
        return ['source', 'student', 'memory'], [None, labels, None]
    pair = data.get('pair') if isinstance(data, dict) else None
    if pair is None:
        return [], [labels]
    found = [part.get('labels') if isinstance(part, dict) else part for part in pair.values()]
    return list(pair), [None if label == 'target' else label for label in found]


def example(stage: dict[str, Any], images: Any) -> dict[str, Any]:
    """A batch of the stage: the images in every branch, with random labels where it has any."""
    import torch
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    height, width = images.shape[-2:]
    samples = []
    for _ in images:
        coarse = torch.randint(CLASSES, (1, 1, height // 32 + 1, width // 32 + 1)).float()
        labels = torch.nn.functional.interpolate(coarse, size=(height, width))[0].long()
        sample = SegDataSample(gt_sem_seg=PixelData(data=labels.to(images.device)))
        confidence = torch.rand(1, height, width, device=images.device)
        soft = _soft(labels[0].to(images.device))
        sample.set_data({'confidence': PixelData(data=confidence), 'soft': soft})
        sample.set_metainfo({'ori_shape': (height, width)})
        samples.append(sample)
    names, sources = branches(stage)
    loaded = [samples if source is not None else None for source in sources]
    if not names:
        return {'inputs': images, 'data_samples': loaded[0]}
    inputs = dict.fromkeys(names, images)
    return {'inputs': inputs, 'data_samples': dict(zip(names, loaded, strict=True))}


def _soft(labels: Any) -> Any:
    """Soft labels of an image of the view's size, see ``PackSoftLabels``."""
    import torch
    from mmengine.structures import BaseDataElement

    height, width = labels.shape
    coarse = torch.rand(CLASSES, height // 8 + 1, width // 8 + 1, device=labels.device)
    rows, columns = (torch.arange(n, device=labels.device).float() for n in labels.shape)
    return BaseDataElement(
        log_probabilities=coarse.log().half(),
        rows=rows,
        columns=columns,
        labels=labels.to(torch.uint8),
    )


def build(stage: dict[str, Any], network: str, device: str, folder: Path) -> Any:
    """The stage's adapter around a randomly initialised network.

    Args:
        stage: The stage; files of other stages that its adapter reads are made up.
        network: Name of the network.
        device: ``'cpu'`` or ``'cuda'``.
        folder: For these files.
    """
    from mmengine.registry import DefaultScope

    from sfda_bench.registry import MODELS

    made_up = {'theta': [0.5] * CLASSES, 'easy': 2, 'hard': 2}
    (folder / 'made_up.json').write_text(json.dumps(made_up), encoding='utf-8')
    config = {
        key: str(folder / 'made_up.json') if 'stage://' in str(value) else value
        for key, value in stage['adapter'].items()
    }
    model = catalog.load('networks', network)['model']
    model['data_preprocessor'].setdefault('size_divisor', 1)
    if config.get('feature_layer') and network != 'deeplabv2_r101':
        config['feature_layer'] = 'head_input'  # networks have no layer of the same name
    with DefaultScope.overwrite_default_scope('sfda_bench'):
        adapter = MODELS.build({**config, 'segmentor': model})
    if hasattr(adapter, 'contrast_start'):
        adapter.contrast_start = 0  # time the full step
    return adapter.to(device).train()


def bare(adapter: Any, images: Any) -> Callable[[], None]:
    """The passes alone: ``adapter.passes`` times student and frozen networks, and discriminators.

    A pass of the student is forward, enlarging, cross-entropy, backward; of a frozen network
    forward; of a discriminator forward and backward. All are in the adapter's own modes.
    """
    import torch
    from torch.nn.functional import cross_entropy, interpolate

    students, teachers = getattr(adapter, 'passes', (1, 0))
    others = [getattr(adapter, name) for name in adapter.student_like if name != 'student']
    frozen = [copy.deepcopy(module) for module in others or [adapter.student]]
    size = images.shape[-2:]
    labels = torch.zeros(images.shape[0], *size, dtype=torch.int64)
    labels = labels.to(images.device)
    heads = getattr(adapter, 'heads', [adapter.student.decode_head])
    judges = [*getattr(adapter, 'discriminators', [])] * getattr(adapter, 'judgements', 0)
    maps = torch.rand(len(images), CLASSES, *images.shape[-2:], device=images.device)

    def step() -> None:
        for index in range(teachers):
            with torch.no_grad():
                network = frozen[index % len(frozen)]
                network.decode_head(network.extract_feat(images))
        for _ in range(students):
            features = adapter.student.extract_feat(images)
            losses = [
                cross_entropy(
                    interpolate(head(features), images.shape[-2:], mode='bilinear'), labels
                )
                for head in heads
            ]
            torch.stack(losses).sum().backward()
        for judge in judges:
            judge.requires_grad_(True)(maps).mean().backward()

    return step


class Still:
    """Stands in for optimiser wrappers: only backpropagates."""

    def __getitem__(self, name: str) -> Still:
        return self

    def optim_context(self, model: Any) -> contextlib.AbstractContextManager:
        """No autocast."""
        return contextlib.nullcontext()

    def update_params(self, loss: Any) -> None:
        """Backward only."""
        loss.backward()


def step_of(adapter: Any, stage: dict[str, Any], images: Any) -> Callable[[], None]:
    """The method's own step: hooks, views, labels, losses, backward; no optimiser."""
    import torch

    from sfda_bench.adapt.adapter import Adapter
    from sfda_bench.adapt.hooks import Driver

    data, driver = example(stage, images), Driver(adapter, stage.get('hooks', {}))
    driver.runner.optim_wrapper = Still()

    class Ready(torch.nn.Module):
        def forward(self, data: dict, training: bool = False) -> dict:
            return data

    def step() -> None:
        driver.before()
        losses = adapter.loss(**data)
        adapter.parse_losses(losses)[0].backward()
        driver.after()

    def whole() -> None:
        driver.train_step(data, Still())

    if type(adapter).losses is not Adapter.losses:
        return step
    adapter.data_preprocessor = Ready()
    return whole


def seconds(work: Callable[[], None], device: str) -> float:
    """Processor time of one call on the CPU, wall time on a GPU."""
    import torch

    if device == 'cpu':
        began = time.process_time()
        work()
        return time.process_time() - began
    torch.cuda.synchronize()
    began = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - began


def measure(stage: dict[str, Any], timing: Timing) -> dict[str, float]:
    """Median seconds of the bare passes and of the step, taken in turns, and their ratio."""
    import torch
    from mmengine.registry import DefaultScope

    torch.manual_seed(0)
    # Whatever scope a caller's process has: as in a stage.
    with DefaultScope.overwrite_default_scope('sfda_bench'):
        with tempfile.TemporaryDirectory() as folder:
            adapter = build(stage, timing.network, timing.device, Path(folder))
        images = torch.randn(timing.batch, 3, *timing.size).to(timing.device)
        works = [bare(adapter, images), step_of(adapter, stage, images)]
    times: list[list[float]] = [[], []]
    for repeat in range(timing.repeats + 1):
        for work, found in zip(works, times, strict=True):
            spent = seconds(work, timing.device)
            if repeat:  # the first call warms up
                found.append(spent)
    passes, step = (statistics.median(found) for found in times)
    # taken in turns: what slows the machine down meets both of a pair
    ratio = statistics.median(b / a for a, b in zip(*times, strict=True))
    return {'passes': passes, 'step': step, 'ratio': ratio}
