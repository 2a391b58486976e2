"""What stages will need on a device, before they run: memory and hours, counted and not guessed.

A network's forward pass is run once on meta tensors, at the stage's size: PyTorch counts its
floating-point operations, and every tensor that is kept for the backward pass is added up. A step
of an adapter is then its passes (``passes`` of its class), its weights, gradients and the
optimiser's state. Hours assume a share of the device's dense rate; that share is stated.
"""

from __future__ import annotations

import ast
import copy
import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sfda_bench.data.catalogue import LAYOUTS
from sfda_bench.errors import require_known
from sfda_bench.plan.model import Stage

GB = 2**30
#: Share of the dense rate that convolutions of such networks reach; an assumption.
UTILISATION = 0.3
#: Memory of the driver's context and of the libraries' work spaces, in GB; an assumption.
CONTEXT_GB = 1.0
#: A backward pass costs two forward ones.
STEP = 3
#: Maps of logits at the label's size that are alive together: enlarged, log-soft-max, gradient.
LOSS_MAPS = 3


@dataclass(frozen=True)
class Device:
    """A device as its maker describes it.

    Attributes:
        name: For people.
        memory_gb: Memory.
        fp32: Dense rate in TFLOP/s that convolutions in float32 get from PyTorch (TF32 where the
            device has it).
        half: That of bfloat16 and float16.
    """

    name: str
    memory_gb: float
    fp32: float
    half: float


#: Rates of the makers' data sheets, dense.
DEVICES = {
    'rtx3090': Device('GeForce RTX 3090', 24, 35.6, 71.0),
    'a100-40gb': Device('A100 40 GB', 40, 156.0, 312.0),
    'a100-80gb': Device('A100 80 GB', 80, 156.0, 312.0),
    'h100-80gb': Device('H100 SXM 80 GB', 80, 495.0, 989.0),
}


@dataclass(frozen=True)
class Pass:
    """A forward pass of one image.

    Attributes:
        flops: Floating-point operations.
        kept: Bytes kept for the backward pass.
        parameters: Of the network.
        trained: Of these, those with a gradient.
        largest: Bytes of the largest tensor that is kept.
    """

    flops: int
    kept: int
    parameters: int
    trained: int
    largest: int


@dataclass(frozen=True)
class Forecast:
    """What a stage needs on a device.

    Attributes:
        stage: The stage.
        memory_gb: Peak memory.
        hours: Device hours.
        size: (height, width) of the network's input.
    """

    stage: Stage
    memory_gb: float
    hours: float
    size: tuple[int, int]


def traced(model: Mapping[str, Any], size: tuple[int, int], norm_affine: bool = False) -> Pass:
    """A forward pass of a segmentor on meta tensors.

    Args:
        model: Config of the segmentor.
        size: (height, width) of the image.
        norm_affine: Only the affine parameters of normalisation layers are trained.
    """
    return _traced(repr(dict(model)), size, norm_affine)


@functools.cache
def _traced(text: str, size: tuple[int, int], norm_affine: bool) -> Pass:
    import torch
    from mmengine.registry import init_default_scope
    from torch.autograd.graph import saved_tensors_hooks
    from torch.utils.flop_counter import FlopCounterMode

    from sfda_bench.networks.build import build_segmentor

    init_default_scope('sfda_bench')
    network = build_segmentor(ast.literal_eval(text)).train().to('meta')
    norms = (torch.nn.modules.batchnorm._BatchNorm, torch.nn.LayerNorm)
    if norm_affine:
        network.requires_grad_(False)
        for module in network.modules():
            if isinstance(module, norms):
                module.requires_grad_(True)
    own = {id(p) for p in network.parameters()} | {id(b) for b in network.buffers()}
    kept: dict[int, tuple[int, Any]] = {}

    def keep(tensor: Any) -> Any:
        if id(tensor) not in own:
            storage = tensor.untyped_storage()
            # held on to, so that no other one gets the same address
            kept[storage._cdata] = (storage.nbytes(), tensor)
        return tensor

    image = torch.zeros(1, 3, *size, device='meta')
    counter = FlopCounterMode(display=False)
    with counter, saved_tensors_hooks(keep, lambda tensor: tensor):
        network.decode_head(network.extract_feat(image))
    bytes_of = [nbytes for nbytes, _ in kept.values()]
    return Pass(
        flops=counter.get_total_flops(),
        kept=sum(bytes_of),
        parameters=sum(p.numel() for p in network.parameters()),
        trained=sum(p.numel() for p in network.parameters() if p.requires_grad),
        largest=max(bytes_of, default=0),
    )


# --- what a stage's config says ---------------------------------------------------------------


def _values(config: Any, key: str) -> Iterator[Any]:
    """Every value of a key, wherever it stands in a config."""
    if isinstance(config, Mapping):
        for name, value in config.items():
            if name == key and value is not None:
                yield value
            yield from _values(value, key)
    elif isinstance(config, (list, tuple)):
        for item in config:
            yield from _values(item, key)


def _loader(config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    return config.get('train_dataloader') or config.get('test_dataloader')


def size_of(config: Mapping[str, Any]) -> tuple[int, int]:
    """(height, width) of the network's input: crop, else resized image, else the official size."""
    dataset = (_loader(config) or {}).get('dataset', {})
    for crop in _values(dataset, 'crop_size'):
        return int(crop[0]), int(crop[1])
    for step in _values(dataset, 'pipeline'):
        for item in step:
            if item.get('type') == 'ResizeTo' and item.get('size'):
                return int(item['size'][1]), int(item['size'][0])
    width, height = _layout(dataset).official_size or (0, 0)
    return height, width


def _layout(dataset: Mapping[str, Any]) -> Any:
    names = {layout.name for layout in LAYOUTS.values()}
    for root in _values(dataset, 'data_root'):
        for name in (Path(str(root)).name.lower(),):
            if name in names:
                return LAYOUTS[name]
    return LAYOUTS['cityscapes']


def images_of(config: Mapping[str, Any]) -> int:
    """Images that a stage passes over, or that all iterations of a training see."""
    loader = _loader(config) or {}
    if 'train_dataloader' in config:
        return int(config['train_cfg']['max_iters']) * int(loader['batch_size'])
    layout = _layout(loader.get('dataset', {}))
    split = next(_values(loader.get('dataset', {}), 'split'), 'val')
    rounds = next(_values(loader.get('dataset', {}), 'rounds'), 1)
    return int(layout.counts.get(split, 0)) * int(rounds)


def views_of(config: Mapping[str, Any]) -> float:
    """Passes of an image over views, in images of the plain size."""
    scales = next(_values(config, 'scales'), None) or next(_values(config, 'sizes'), None) or [1.0]
    flip = bool(next(_values(config.get('model', {}), 'flip'), False))
    total = sum(float(s) ** 2 if isinstance(s, (int, float)) else 1.0 for s in scales)
    return total * (2 if flip else 1)


def _states(config: Mapping[str, Any]) -> int:
    """Tensors that an optimiser keeps of each trained parameter."""
    for optimizer in _values(config, 'optimizer'):
        if str(optimizer.get('type', '')).startswith('Adam'):
            return 2
        return 1 if optimizer.get('momentum') else 0
    return 0


def _model(config: Mapping[str, Any]) -> tuple[dict[str, Any], Any, Mapping[str, Any]]:
    """(segmentor, class of the adapter or ``None``, its config)."""
    from sfda_bench.registry import MODELS

    model = config['model']
    if 'segmentor' in model:
        return copy.deepcopy(dict(model['segmentor'])), MODELS.get(model['type']), model
    return copy.deepcopy(dict(model.get('module', model))), None, model


# --- forecasts --------------------------------------------------------------------------------


def step_bytes(config: Mapping[str, Any], size: tuple[int, int], batch: int) -> float:
    """Peak bytes of a stage's tensors: weights, gradients, states, what is kept, logits.

    Args:
        config: Resolved config of the stage.
        size: (height, width) of the network's input.
        batch: Images of a step.
    """
    segmentor, adapter, options = _model(config)
    students, _ = getattr(adapter, 'passes', (1, 0)) if adapter else (1, 0)
    affine = options.get('trainable') == 'norm_affine'
    one = traced(segmentor, size, affine)
    networks = 1 + len(set(getattr(adapter, 'frozen', ())) | set(_likes(adapter)) - {'student'})
    classes = int(segmentor['decode_head']['num_classes'])
    maps = classes * size[0] * size[1] * 4 * LOSS_MAPS
    learns = ('train_dataloader' in config or next(_values(config, 'optimizer'), None)) and students
    if not learns:
        return 4 * one.parameters * networks + batch * (2 * one.largest + maps)
    own = 4 * one.parameters * networks + 4 * one.trained * (1 + _states(config))
    return own + batch * students * (one.kept + maps)


def _likes(adapter: Any) -> Sequence[str]:
    return getattr(adapter, 'student_like', ('student',))


def step_flops(config: Mapping[str, Any], size: tuple[int, int]) -> float:
    """Floating-point operations of an image in a stage."""
    segmentor, adapter, options = _model(config)
    students, frozen = getattr(adapter, 'passes', (1, 0)) if adapter else (1, 0)
    one = traced(segmentor, size, options.get('trainable') == 'norm_affine').flops
    if 'train_dataloader' in config:
        return one * (STEP * students + frozen)
    steps = STEP * students if next(_values(config, 'optimizer'), None) else 0
    return one * (views_of(config) + steps)


def forecast(
    stages: Sequence[Stage], device: str, utilisation: float = UTILISATION
) -> list[Forecast]:
    """What each stage with a network and data needs; gates, conversions and replays need nothing.

    Args:
        stages: Of a plan.
        device: Name in :data:`DEVICES`.
        utilisation: Share of the dense rate.
    """
    chosen = DEVICES[require_known('device', device, DEVICES)]
    found = []
    for stage in stages:
        config = stage.config
        if _loader(config) is None or 'model' not in config or 'folder' in config['model']:
            continue
        size, batch = size_of(config), int((_loader(config) or {})['batch_size'])
        half = any(v in ('bf16', 'fp16') for v in _values(config, 'precision'))
        rate = (chosen.half if half else chosen.fp32) * 1e12 * utilisation
        memory = step_bytes(config, size, batch) / GB + CONTEXT_GB
        hours = images_of(config) * step_flops(config, size) / rate / 3600
        found.append(Forecast(stage, memory, hours, size))
    return found
