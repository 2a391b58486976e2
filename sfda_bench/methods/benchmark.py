"""``tools/benchmark.py methods``: a method's step against the bare passes that it needs."""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

from sfda_bench.errors import BenchError

LIMIT = 1.10


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Register the ``methods`` benchmark."""
    parser = subparsers.add_parser('methods', help='step time against the bare passes')
    parser.add_argument('--method', nargs='+', help='methods (default: all that need no labels)')
    parser.add_argument('--network', default='cgnet', help='network (default cgnet)')
    parser.add_argument('--size', type=int, nargs=2, default=(256, 512), metavar=('H', 'W'))
    parser.add_argument('--batch', type=int, default=2, help='images a branch (default 2)')
    parser.add_argument('--repeats', type=int, default=5, help='steps of each kind (default 5)')
    parser.add_argument('--device', default='cpu', help='cpu (default) or cuda')
    parser.add_argument('--json', action='store_true', help='print one JSON object')
    parser.set_defaults(run=run)


def stages_of(names: list[str] | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Adapting stages on unlabelled target images, each once, with their method's name."""
    from sfda_bench.suite import catalog
    from sfda_bench.suite.method import Method

    seen: list[Any] = []
    for name in names or catalog.names('methods'):
        for stage in Method(name).stages('paper', 'gta5_to_cityscapes', {}):
            adapter = stage.get('adapter')
            unlabelled = 'stage://' not in json.dumps([adapter, branches(stage)[1]])
            adapts = adapter and stage.get('kind', 'adapt') == 'adapt'
            if adapts and unlabelled and adapter not in seen:
                seen.append(adapter)
                yield f'{name}: {stage["name"]}', stage


def branches(stage: dict[str, Any]) -> tuple[list[str], list[Any]]:
    """Names of a stage's branches, and where their labels come from."""
    pair = stage.get('data', {}).get('pair') if isinstance(stage.get('data'), dict) else None
    if pair is None:
        data = stage.get('data')
        return [], [data.get('labels') if isinstance(data, dict) else data]
    labels = [part.get('labels') if isinstance(part, dict) else part for part in pair.values()]
    return list(pair), labels


def build(stage: dict[str, Any], network: str, device: str) -> Any:
    """The stage's adapter around a randomly initialised network."""
    from mmengine.registry import DefaultScope

    from sfda_bench.registry import MODELS
    from sfda_bench.suite import catalog

    model = catalog.load('networks', network)['model']
    model['data_preprocessor'].setdefault('size_divisor', 1)
    with DefaultScope.overwrite_default_scope('sfda_bench'):
        adapter = MODELS.build({**stage['adapter'], 'segmentor': model})
    if hasattr(adapter, 'contrast_start'):
        adapter.contrast_start = 0  # time the full step
    return adapter.to(device).train()


def bare(adapter: Any, images: Any) -> Callable[[], None]:
    """The passes alone: ``adapter.passes`` times student and teacher."""
    import torch
    from torch.nn.functional import cross_entropy, interpolate

    students, teachers = getattr(adapter, 'passes', (1, 0))
    teacher = copy.deepcopy(adapter.student).requires_grad_(False)
    labels = torch.zeros(images.shape[0], *images.shape[-2:], dtype=torch.int64)
    labels = labels.to(images.device)

    def step() -> None:
        for _ in range(teachers):
            with torch.no_grad():
                teacher.decode_head(teacher.extract_feat(images))
        for _ in range(students):
            logits = adapter.student.decode_head(adapter.student.extract_feat(images))
            logits = interpolate(logits, images.shape[-2:], mode='bilinear')
            cross_entropy(logits, labels).backward()

    return step


def step_of(adapter: Any, stage: dict[str, Any], images: Any) -> Callable[[], None]:
    """The method's own step: teacher update, views, labels, losses, backward; no optimiser."""
    names, _ = branches(stage)
    inputs = dict.fromkeys(names, images) if names else images
    samples = dict.fromkeys(names) if names else None

    def step() -> None:
        losses = adapter.loss(inputs, samples)
        adapter.parse_losses(losses)[0].backward()

    return step


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


def measure(stage: dict[str, Any], arguments: argparse.Namespace) -> dict[str, float]:
    """Median seconds of the bare passes and of the step, taken in turns, and their ratio."""
    import torch

    torch.manual_seed(0)
    adapter = build(stage, arguments.network, arguments.device)
    images = torch.randn(arguments.batch, 3, *arguments.size).to(arguments.device)
    works = [bare(adapter, images), step_of(adapter, stage, images)]
    times: list[list[float]] = [[], []]
    for repeat in range(arguments.repeats + 1):
        for work, found in zip(works, times, strict=True):
            spent = seconds(work, arguments.device)
            if repeat:  # the first call warms up
                found.append(spent)
    passes, step = (statistics.median(found) for found in times)
    return {'passes': passes, 'step': step, 'ratio': step / passes}


def run(arguments: argparse.Namespace) -> int:
    """Measure every stage; exit code 1 if one is above the limit."""
    from sfda_bench.suite.process import import_stack

    import_stack()
    import torch

    torch.set_num_threads(1)
    results = {name: measure(stage, arguments) for name, stage in stages_of(arguments.method)}
    if not results:
        raise BenchError('no stage to time', 'a method that adapts on unlabelled images')
    if arguments.json:
        print(json.dumps(results))
    else:
        for name, row in results.items():
            print(f'{name:28} {row["step"]:8.3f} s  passes {row["passes"]:8.3f} s  '
                  f'ratio {row["ratio"]:.3f}')  # fmt: skip
    return int(max(row['ratio'] for row in results.values()) > LIMIT)
