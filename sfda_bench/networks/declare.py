"""A network's declaration: what it says about itself must agree with its model."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from sfda_bench.errors import BenchError, require_known
from sfda_bench.labels import CLASS_SETS

HEADS = ('decode_head', 'auxiliary_head')


def heads_of(model_cfg: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The heads of a segmentor config, with their places (``auxiliary_head.1`` in a list)."""
    out: list[tuple[str, Any]] = []
    for place in HEADS:
        head = model_cfg.get(place)
        if isinstance(head, Mapping):
            out.append((place, head))
        elif isinstance(head, Sequence):
            out.extend((f'{place}.{i}', h) for i, h in enumerate(head))
    return out


def with_heads(model_cfg: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """A copy of a segmentor config with ``changes`` made in every head."""
    out = copy.deepcopy(dict(model_cfg))
    for _, head in heads_of(out):
        head.update(changes)
    return out


def with_classes(model_cfg: Mapping[str, Any], num_classes: int) -> dict[str, Any]:
    """A copy of a segmentor config whose heads have ``num_classes`` outputs (19 or 16)."""
    return with_heads(model_cfg, num_classes=num_classes)


def for_task(config: Mapping[str, Any], task: str) -> dict[str, Any]:
    """A network config with as many outputs as it has on one task.

    Args:
        config: ``network`` and ``model``; ``network['classes']`` names a class set for each task
            on which the network has fewer outputs than 19.
        task: Name of the task.

    Returns:
        A copy; ``network['classes']`` is the name of the class set, or is missing.

    Raises:
        UnknownNameError: There is no such class set.
    """
    out = {**config, 'network': dict(config['network'])}
    name = out['network'].pop('classes', {}).get(task)
    if name is not None:
        outputs = len(CLASS_SETS[require_known('class set', name, CLASS_SETS)])
        out['network'].update(classes=name, num_classes=outputs)
        out['model'] = with_classes(config['model'], outputs)
    return out


def output_ids(network: Mapping[str, Any]) -> list[int] | None:
    """Train id of each output of a :func:`for_task` network, ``None`` when they are the outputs."""
    name = network.get('classes')
    return None if name is None else list(CLASS_SETS[name])


def prediction_map(network: Mapping[str, Any], task: Mapping[str, Any]) -> list[int] | None:
    """Class of a task's label space that each output stands for, ``None`` = the output itself."""
    return task.get('prediction_map') or output_ids(network)


def check_classes(network: Mapping[str, Any], task: Mapping[str, Any], scored: set[int]) -> None:
    """Refuse a task whose scored classes a network of fewer outputs cannot predict.

    Args:
        network: The ``network`` block.
        task: The ``task`` block.
        scored: Indices of the classes that the task's scoring protocol averages.

    Raises:
        BenchError: Classes are missing, or the task maps predictions itself.
    """
    ids = output_ids(network)
    if ids is None or (not task.get('prediction_map') and scored <= set(ids)):
        return
    raise BenchError(
        f'network {network["name"]} has the {len(ids)} outputs of {network["classes"]}, which '
        f'task {task["name"]} cannot be scored with ({task["scoring"]})',
        'a network of 19 outputs, or a task scored on the classes the network has',
        'choose another --network or --task',
    )


def check_declaration(network: Mapping[str, Any], model_cfg: Mapping[str, Any]) -> None:
    """Compare a network's input convention with the preprocessor and heads of its model.

    Raises:
        BenchError: They differ in channel order, mean, std, align_corners or class count.
    """
    convention, pre = network['input'], model_cfg['data_preprocessor']
    order = 'rgb' if pre.get('bgr_to_rgb') else 'bgr'
    found: dict[str, tuple[Any, Any]] = {
        'channel_order': (convention['channel_order'], order),
        'mean': (list(convention['mean']), list(pre['mean'])),
        'std': (list(convention['std']), list(pre['std'])),
    }
    for place, head in heads_of(model_cfg):
        aligned = bool(head.get('align_corners', False))
        found[f'{place}.align_corners'] = (bool(network['align_corners']), aligned)
        found[f'{place}.num_classes'] = (network['num_classes'], head['num_classes'])
    wrong = [
        f'{name}: declared {declared}, model {actual}'
        for name, (declared, actual) in found.items()
        if declared != actual
    ]
    if wrong:
        raise BenchError(
            f'network {network["name"]} contradicts itself: ' + '; '.join(wrong),
            'the same values in `network` and `model`',
            f'edit mm_configs/networks/{network["name"]}.py',
        )


def check_inference(network: Mapping[str, Any], protocol: Mapping[str, Any]) -> None:
    """Refuse an inference protocol that does not suit a network's input convention.

    Args:
        network: The ``network`` block.
        protocol: ``id``, ``resize`` (``None`` or ``lib`` and ``mode``), ``align_corners``
            (a bool, or ``'network'`` = the network's own).

    Raises:
        BenchError: The protocol is not declared, or resizes or upsamples in another way.
    """
    name, ident = network['name'], protocol['id']
    if ident not in network['inference']:
        raise BenchError(
            f'network {name} cannot be scored under the inference protocol {ident}',
            f'one of its protocols: {", ".join(network["inference"])}',
            'choose another --network or --suite',
        )
    wrong = []
    resize, convention = protocol.get('resize'), network['input']
    own = (convention['lib'], convention['mode'])
    # torch resizes the network's input, not the image: no library of images is meant
    if resize and resize['lib'] != 'torch' and (resize['lib'], resize['mode']) != own:
        wrong.append(
            f'resize: network {convention["lib"]} {convention["mode"]}, '
            f'protocol {resize["lib"]} {resize["mode"]}'
        )
    aligned = protocol.get('align_corners', 'network')
    if aligned != 'network' and bool(aligned) != bool(network['align_corners']):
        wrong.append(f'align_corners: network {network["align_corners"]}, protocol {aligned}')
    if wrong:
        raise BenchError(
            f'network {name} and inference protocol {ident} disagree: ' + '; '.join(wrong),
            'the convention the network was trained with',
            f'remove {ident} from `inference` in mm_configs/networks/{name}.py',
        )
