"""Export: a checkpoint and a config that mmseg's own inference API takes as they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from sfda_bench.atomic import write_text
from sfda_bench.errors import BenchError
from sfda_bench.networks.build import expected_state
from sfda_bench.networks.checkpoints.formats import flat_state
from sfda_bench.networks.checkpoints.reading import read_file
from sfda_bench.networks.checkpoints.state import require_same_keys
from sfda_bench.networks.checkpoints.weights import require_finite
from sfda_bench.networks.checkpoints.write import write_checkpoint
from sfda_bench.networks.declare import check_inference
from sfda_bench.reading import read_json
from sfda_bench.registry import MODELS


def export_model(
    checkpoint: Path | str,
    network: Mapping[str, Any],
    model: Mapping[str, Any],
    protocol: Mapping[str, Any],
    out: Path | str,
    task: str = '',
) -> tuple[Path, Path]:
    """Write ``<out>.pth`` and ``<out>.py`` for ``mmseg.apis.init_model`` / ``inference_model``.

    The config is plain mmseg; only if the network has modules of ours it also imports
    ``sfda_bench.registry``. Its test pipeline is the inference protocol's single view.

    Args:
        checkpoint: Plain segmentor checkpoint, e.g. ``runs/<id>/final.pth`` of an adapt stage.
        network, model: Blocks of the network config.
        protocol: Inference protocol as a mapping.
        out: Path without suffix.
        task: Task name, where the protocol's size depends on it.

    Raises:
        BenchError: The checkpoint does not fit, or the protocol does not suit the network.
    """
    check_inference(network, protocol)
    state = flat_state(read_file(checkpoint))
    require_same_keys(state, expected_state(model), str(checkpoint))
    require_finite(state, str(checkpoint))
    out = Path(out)
    weights, config = out.with_suffix('.pth'), out.with_suffix('.py')
    if weights.resolve() == Path(checkpoint).resolve():
        raise BenchError(f'{weights} would overwrite its origin', 'another --out')
    meta = {'network': network['name'], 'inference': f'{protocol["id"]}@{protocol["version"]}'}
    write_checkpoint(weights, state, meta)
    text = Config(inference_config(network, model, protocol, task)).pretty_text
    write_text(config, text)
    return weights, config


def inference_config(
    network: Mapping[str, Any],
    model: Mapping[str, Any],
    protocol: Mapping[str, Any],
    task: str = '',
) -> dict[str, Any]:
    """The config of :func:`export_model`: scope, model, test pipeline and data loader."""
    plain = model.to_dict() if hasattr(model, 'to_dict') else dict(model)
    ours = bool(set(_types(plain)) & set(MODELS.module_dict))
    plain = _prefixed(plain)
    steps: list[dict[str, Any]] = [{'type': 'LoadImageFromFile'}]
    size = protocol.get('size_by_task', {}).get(task) or protocol.get('size')
    if size:
        resize = protocol['resize']
        steps.append(
            {
                'type': 'Resize',
                'scale': tuple(size),
                'keep_ratio': False,
                'backend': resize['lib'],
                'interpolation': resize['mode'],
            }
        )
    steps += [{'type': 'LoadAnnotations'}, {'type': 'PackSegInputs'}]
    config: dict[str, Any] = {'default_scope': 'mmseg', 'model': plain}
    if ours:
        config['custom_imports'] = {'imports': ['sfda_bench.registry']}
    # MMSegInferencer draws with the visualizer of the config.
    backends = [{'type': 'LocalVisBackend'}]
    config['visualizer'] = {'type': 'SegLocalVisualizer', 'vis_backends': backends}
    config['test_pipeline'] = steps
    config['test_dataloader'] = {
        'batch_size': 1,
        'num_workers': 0,
        'sampler': {'type': 'DefaultSampler', 'shuffle': False},
        'dataset': {'type': 'CityscapesDataset', 'test_mode': True, 'pipeline': steps},
    }
    return config


def _types(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        if isinstance(value.get('type'), str):
            yield value['type']
        for inner in value.values():
            yield from _types(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _types(inner)


def _prefixed(value: Any) -> Any:
    """A config whose types of ours name our scope, so that they are found from mmseg's."""
    if isinstance(value, Mapping):
        inner = {key: _prefixed(item) for key, item in value.items()}
        if inner.get('type') in MODELS.module_dict:
            inner['type'] = f'{MODELS.scope}.{inner["type"]}'
        return inner
    return type(value)(map(_prefixed, value)) if isinstance(value, list | tuple) else value


def entry_checkpoint(record: Path | str, runs: Path | str) -> tuple[str, str, str, Path]:
    """Network, task, inference protocol and checkpoint of a committed record.

    Args:
        record: ``results/records/<suite>/<entry>.json``.
        runs: The store's folder.

    Returns:
        Names of network and task, the protocol's ``id@version``, and the path of the weights that
        were scored (the last stage that is not scoring).
    """
    expected = 'a record, results/records/<suite>/<entry>.json'
    data = read_json(Path(record), expected)
    try:
        entry, inference = data['entry'], data['inference_protocol']
        names = entry['network'], entry['task']
        stages = [stage for stage in data['stages'] if stage['kind'] != 'score']
        path = Path(runs) / stages[-1]['id'] / 'final.pth'
    except (KeyError, TypeError, IndexError) as error:
        raise BenchError(f'{record} is not a record: no {error}', expected) from None
    if not path.is_file():
        raise BenchError(
            f'no {path}', 'the weights of the entry in the store', 'run the entry again'
        )
    return *names, inference, path
