"""Every labelling, stream, scoring and gate stage on the simulated accelerator, image by image.

In a process of its own, as :mod:`tests.accelerator_steps`; prints JSON: what makes each sort of
stage wait for its second image, by place, and whether its files are those of the CPU.
"""

from __future__ import annotations

import copy
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from sfda_bench.benchmarks import step_time
from sfda_bench.plan import catalog
from sfda_bench.plan.method import Method
from tests import accelerator

NETWORK, SIZE, CLASSES = 'deeplabv2_pocket', (32, 64), 19
#: Settings that are made up here, or change nothing of what a stage does with an image.
ASIDE = ('thresholds', 'centroids', 'portion')
#: Factor on the classifier's weights: some pixels of a random network become certain.
SHARP = 30.0
#: A stage's work on the image of a number, and its metric, which has written files in the end.
Work = tuple[Callable[[int], None], Any]
Make = Callable[[torch.device, Path], Work]


def stages_of(kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Stages of a kind, each sort once, with their method's name."""
    seen: list[Any] = []
    for name in catalog.names('methods'):
        for stage in Method(name).stages('paper', 'gta5_to_cityscapes', {}):
            if stage.get('kind', 'adapt') != kind:
                continue
            parts = [stage.get('adapter', {}), stage.get('writer', {})]
            sort = [{k: k in ASIDE or v for k, v in part.items()} for part in parts]
            if sort not in seen:
                seen.append(sort)
                yield f'{kind}: {name} {stage["name"]}', stage


def protocols() -> Iterator[tuple[str, dict[str, Any]]]:
    """Inference protocols, each way to predict once, with the predictor that they ask for."""
    from sfda_bench.plan.kinds.score import predictor
    from sfda_bench.scoring.protocols import load_inference, names

    seen: list[Any] = []
    for name in names('inference'):
        protocol = load_inference(name)
        model = predictor(network(), protocol)
        if model not in seen:
            seen.append(model)
            yield f'score: {protocol.ref}', model


def network() -> dict[str, Any]:
    """Config of the segmentor."""
    from mmengine.config import ConfigDict

    model = catalog.load('networks', NETWORK)['model']
    model['data_preprocessor'].setdefault('size_divisor', 1)
    return ConfigDict(model)


def batch(number: int, labelled: bool = False, branches: int = 0) -> dict[str, Any]:
    """One image as collated, on the CPU."""
    from sfda_bench.registry import TRANSFORMS

    random = np.random.default_rng(number)
    results = {
        'img': random.integers(0, 256, (*SIZE, 3), dtype=np.uint8),
        'img_path': f'image{number}.png', 'sample_id': f'image{number}', 'ori_shape': SIZE,
        'img_shape': SIZE, 'position': number, 'round': 0, 'condition': 'fog',
    }  # fmt: skip
    if labelled:
        coarse = random.integers(0, CLASSES, (SIZE[0] // 8, SIZE[1] // 8), dtype=np.uint8)
        results['gt_seg_map'] = coarse.repeat(8, axis=0).repeat(8, axis=1)
        results['seg_fields'] = ['gt_seg_map']
    keys = ('img_path', 'sample_id', 'ori_shape', 'img_shape', 'position', 'round', 'condition')
    pack = TRANSFORMS.build({'type': packing(), 'meta_keys': keys})

    def packed() -> dict[str, Any]:
        item = pack(dict(results))
        return {'inputs': [item['inputs']], 'data_samples': [item['data_samples']]}

    return {f'size{n}': packed() for n in range(branches)} if branches else packed()


def packing() -> str:
    """What the pipeline of a score stage packs with."""
    from sfda_bench.plan.pipelines import test_pipeline
    from sfda_bench.scoring.protocols import load_inference

    return test_pipeline(load_inference('pocket'), 'gta5_to_cityscapes')[-1]['type']


def ready(model: Any, device: torch.device) -> Any:
    """The model with a sharper classifier, on the device, in evaluation mode."""
    inner = getattr(model, 'student', getattr(model, 'module', model))
    with torch.no_grad():
        for parameter in inner.decode_head.parameters():
            parameter.mul_(SHARP)
    return model.to(device).eval()


def label_stage(stage: dict[str, Any], device: torch.device, folder: Path) -> Work:
    """A labelling stage's work on one image."""
    from sfda_bench.registry import METRICS, MODELS

    model = ready(MODELS.build({**stage['adapter'], 'segmentor': network()}), device)
    writer = {**stage['writer'], 'out_dir': str(folder / 'artifacts')}
    # of two images: lists that are short
    short = {'easy_portion': 0.5, 'parts': 2, 'part': 2}
    writer.update({key: value for key, value in short.items() if key in writer})
    if 'thresholds' in writer:
        made_up = {'theta': [0.05] * CLASSES, 'tie_keep': [0.5] * CLASSES}
        rest = {'portion': 0.2, 'pixels': [1] * CLASSES, 'rare': []}
        writer['thresholds'] = str(folder / 'thresholds.json')
        Path(writer['thresholds']).write_text(json.dumps({**made_up, **rest}), encoding='utf-8')
    if 'centroids' in writer:
        writer['centroids'] = str(centroids(folder, model.student.decode_head.in_channels + 1))
    metric = METRICS.build(writer)
    branches = len(stage.get('pack', {}).get('sizes', []))
    return lambda number: judged(model, metric, batch(number, branches=branches)), metric


def centroids(folder: Path, channels: int) -> Path:
    """A file of centroids."""
    path, random = folder / 'centroids.npz', np.random.default_rng(0)
    np.savez(
        path,
        sums=random.normal(size=(CLASSES, channels)),
        mass=np.ones(CLASSES),
        counts=np.ones(CLASSES),
    )
    return path


@torch.no_grad()
def judged(model: Any, metric: Any, data: dict[str, Any]) -> None:
    """One iteration of a test loop."""
    samples = model.test_step(data)
    metric.process(data, [sample.to_dict() for sample in samples])


def stream_stage(stage: dict[str, Any], device: torch.device, folder: Path) -> Work:
    """A stream's work on one image: see ``OnlineAdaptLoop``."""
    from mmengine.optim import build_optim_wrapper

    from sfda_bench.registry import METRICS, MODELS

    model = ready(MODELS.build({**stage['adapter'], 'segmentor': network()}), device)
    wrapper = None
    if stage.get('optim_wrapper'):
        wrapper = build_optim_wrapper(model, copy.deepcopy(stage['optim_wrapper']))
    model.configure(wrapper, 0)
    metric = METRICS.build({'type': 'StreamWriter', 'out_dir': str(folder / 'artifacts')})

    def work(number: int) -> None:
        data = batch(number)
        samples = model.adapt_step(data, wrapper)
        metric.process(data, [sample.to_dict() for sample in samples])

    return work, metric


def score_stage(model: dict[str, Any], device: torch.device, folder: Path) -> Work:
    """A score stage's work on one image."""
    from sfda_bench.registry import METRICS, MODELS

    options = model.get('options', {})
    views = 2 if options.get('flip') and not options.get('on_tensor') else 1
    predictor = ready(MODELS.build(copy.deepcopy(model)), device)
    metric = METRICS.build(
        {'type': 'ConfusionMetric', 'num_classes': CLASSES, 'save_predictions': str(folder / 'p')}
    )

    def work(number: int) -> None:
        data = batch(number, labelled=True)
        if views == 2:
            data = {key: [value, value] for key, value in data.items()}
        judged(predictor, metric, data)

    return work, metric


def validate_stage(device: torch.device, folder: Path) -> Work:
    """A validating stage's work on one image."""
    from sfda_bench.registry import METRICS, MODELS

    model = MODELS.build({'type': 'StatisticsPredictor', 'segmentor': network()})
    metric = METRICS.build({'type': 'StatisticsWriter', 'out_dir': str(folder / 'artifacts')})
    model = ready(model, device)
    return lambda number: judged(model, metric, batch(number)), metric


def gate_stage(device: torch.device, folder: Path) -> Work:
    """A gate's work on one of its few images."""
    from mmengine.config import Config

    from sfda_bench.networks.diagnosis import Variant
    from sfda_bench.registry import MODELS
    from sfda_bench.run.gate import FewImages

    torch.save({'state_dict': MODELS.build(network()).state_dict()}, folder / 'model.pth')
    config = Config(
        {
            'load_from': str(folder / 'model.pth'),
            'model': network(),
            'test_dataloader': {'dataset': {'type': MadeUp, 'pipeline': []}},
            'test_evaluator': {'type': 'ConfusionMetric', 'num_classes': CLASSES},
        }
    )
    variant = Variant('', '', catalog.load('networks', NETWORK)['network'], network())
    found = []

    def work(number: int) -> None:
        found.append(FewImages(config, 1, device)(variant))

    def written(results: list) -> None:
        (folder / 'found.json').write_text(json.dumps(found), encoding='utf-8')

    return work, SimpleNamespace(results=[], compute_metrics=written)


class MadeUp:
    """One labelled image as a data set.

    Args:
        pipeline: Not used.
    """

    def __init__(self, pipeline: list) -> None:
        self.pipeline = pipeline

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {key: value[0] for key, value in batch(index, labelled=True).items()}


def all_stages() -> Iterator[tuple[str, Make]]:
    """Every sort of stage with what makes its work on one image."""
    for name, stage in stages_of('label'):
        yield name, lambda *places, stage=stage: label_stage(stage, *places)
    for name, stage in stages_of('stream'):
        yield name, lambda *places, stage=stage: stream_stage(stage, *places)
    for name, model in protocols():
        yield name, lambda *places, model=model: score_stage(model, *places)
    yield 'validate: any', validate_stage
    yield 'gate: any', gate_stage


def ran(make: Make, device: torch.device) -> tuple[dict[str, dict[str, int]], dict[str, bytes]]:
    """What waits, and what is copied to the device, for a stage's second image; its files."""
    torch.manual_seed(0)
    np.random.seed(0)
    with tempfile.TemporaryDirectory() as folder:
        work, metric = make(device, Path(folder))
        work(0)  # what is set up once may wait
        with accelerator.counted() as (waits, transfers):
            work(1)
        counted = {'waits': dict(waits), 'transfers': dict(transfers)}
        metric.compute_metrics(metric.results)
        found = {str(f.relative_to(folder)): content(f) for f in Path(folder).rglob('*.*')}
        return counted, found


def content(path: Path) -> bytes:
    """A file's bytes; of archives, which hold the time, those of their arrays."""
    if path.suffix == '.npz':
        with np.load(path) as arrays:
            return b''.join(arrays[name].tobytes() for name in sorted(arrays))
    return path.read_bytes()


def found_of(make: Make, device: torch.device) -> dict[str, Any]:
    """What :func:`main` prints of a stage."""
    counted, files = ran(make, device)
    expected = ran(make, torch.device('cpu'))[1]
    differ = [name for name, data in expected.items() if files.get(name) != data]
    return {**counted, 'files': len(files), 'differ': differ, 'error': ''}


def main() -> int:
    """Print what was found, or the error, by stage; of those that an argument is part of."""
    step_time.prepare_process()
    from mmengine.registry import init_default_scope

    init_default_scope('sfda_bench')
    device, found = accelerator.register(), {}
    wanted = sys.argv[1:]
    for name, make in all_stages():
        if wanted and not any(word in name for word in wanted):
            continue
        try:
            found[name] = found_of(make, device)
        except Exception as error:
            if wanted:
                raise
            found[name] = {'error': f'{type(error).__name__}: {error}'}
    print(json.dumps(found))
    return 0


if __name__ == '__main__':
    sys.exit(main())
