"""The model card of an exported checkpoint: a page of Markdown beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sfda_bench.store.runs import sha256_file

_PAGE = """\
# {title}

| | |
|---|---|
{facts}

## Use

```python
from mmseg.apis import MMSegInferencer

inferencer = MMSegInferencer(model='{config}', weights='{weights}')
inferencer('image.png', out_dir='predictions')
```

`mmseg.apis.init_model(config, weights)` takes the same two files. A network with modules of
sfda_bench needs that package installed; others need MMSegmentation alone.

## Limits

A score holds for its protocol, its validation images and its seed; other sizes, crops or class
lists give other numbers. A model adapted to the images of one place is no better elsewhere. Nothing
here was made to be relied on in traffic. The licences of the source data and of published weights
go with it.
"""


def model_card(
    weights: Path,
    config: Path,
    network: Mapping[str, Any],
    protocol: Mapping[str, Any],
    record: Mapping[str, Any] | None = None,
) -> str:
    """What a checkpoint is, what it scored, how it is used, and what it is not for.

    Args:
        weights, config: The two files of the export.
        network: The network's block.
        protocol: Its inference protocol.
        record: Of the entry whose weights these are; without one, only the file is known.
    """
    rows = [
        ('network', f'{network["title"]} (`{network["name"]}`), {network["num_classes"]} outputs'),
        ('inference', f'`{protocol["id"]}@{protocol["version"]}`, the test pipeline of the config'),
        ('SHA-256', f'`{sha256_file(weights)}`'),
        *(_of_record(record) if record else [('origin', 'unknown: exported from a file alone')]),
    ]
    lines = [f'| {name} | {text} |' for name, text in rows]
    return _PAGE.format(
        title=weights.stem, facts='\n'.join(lines), config=config.name, weights=weights.name
    )


def _of_record(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    entry, source = record['entry'], record['source']
    inside = ', '.join(f'{key}={value}' for key, value in sorted(entry['params'].items()))
    per_class = record['scores']['per_class']
    named = ', '.join(f'{name} {_points(value)}' for name, value in per_class.items())
    dirty = ', changed since' if record['code']['dirty'] else ''
    return [
        ('method', f'`{entry["method"]}{f"[{inside}]" if inside else ""}`, {record["track"]}'),
        ('task', f'`{entry["task"]}`, suite `{entry["suite"]}`, seed {entry["seed"]}'),
        ('mIoU', f'{_points(record["scores"]["miou"])} under `{record["scoring_protocol"]}`'),
        ('source model', f'{_points(source["miou"])}; {source["origin"]}'),
        ('IoU', named),
        ('guard', f'{record["guard"]["verdict"]}'),
        ('code', f'commit `{record["code"]["commit"]}`{dirty}'),
        ('record', f'made {record["created"]}'),
    ]


def _points(value: float | None) -> str:
    return '–' if value is None else f'{value:.1f}'
