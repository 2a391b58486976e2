"""Writing plain mmseg 1.x checkpoints, with the card of a converted one beside it."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sfda_bench.atomic import write_bytes, write_text
from sfda_bench.errors import BenchError
from sfda_bench.labels import CITYSCAPES_CLASSES, CITYSCAPES_PALETTE
from sfda_bench.networks.build import expected_state
from sfda_bench.networks.checkpoints.card import CheckpointCard, SourceScore, card_path, card_text
from sfda_bench.networks.checkpoints.formats import BY_NAME, flat_state
from sfda_bench.networks.checkpoints.identify import classes_in, without_auxiliary
from sfda_bench.networks.checkpoints.reading import read_file
from sfda_bench.networks.checkpoints.state import State, require_same_keys, sha256_of
from sfda_bench.networks.checkpoints.weights import require_finite
from sfda_bench.networks.declare import with_classes


@dataclass
class Request:
    """What to convert and what is known about it.

    Attributes:
        path, out: Input and output file.
        network, model: Name and segmentor config.
        form: Name of the format.
        branches: Answer to the open question of DeepLabV2 heads, ``None`` where it does not arise.
        origin, recipe, scores: For the card.
        trust: Read pickles that carry code.
    """

    path: Path
    out: Path
    network: str
    model: Mapping[str, Any]
    form: str
    branches: int | None = None
    origin: str = 'unknown'
    recipe: str = 'unknown'
    trust: bool = False
    scores: Sequence[SourceScore] = field(default_factory=list)


def convert_file(request: Request) -> CheckpointCard:
    """Convert a foreign checkpoint, strictly, and write it with its card.

    The auxiliary head of a multi-level checkpoint is left out when the network has none; the card
    counts it among ``dropped_keys``.

    Raises:
        BenchError: Keys or shapes do not fit, or the output would overwrite the input.
    """
    if request.out.resolve() == request.path.resolve():
        raise BenchError(f'{request.out} would overwrite its origin', 'another --out')
    state, dropped = fitted_state(request)
    write_checkpoint(request.out, state, {'network': request.network, 'origin': request.origin})
    card = CheckpointCard(
        file=request.out.name,
        sha256=sha256_of(request.out),
        original_file=request.path.name,
        original_sha256=sha256_of(request.path),
        format=request.form,
        network=request.network,
        num_classes=classes_in(state),
        branches=request.branches,
        partial=bool(BY_NAME[request.form].absent),
        dropped_keys=dropped,
        origin=request.origin,
        recipe=request.recipe,
        trusted_pickle=request.trust,
        source_only=list(request.scores),
    )
    write_text(card_path(request.out), card_text(card))
    return card


def fitted_state(request: Request) -> tuple[State, int]:
    """The converted state dict that loads strictly, and how many keys were left out."""
    if not request.form:
        raise BenchError(
            f'{request.path} is of no known format',
            'keys of one of the formats that convert_checkpoint.py reads',
            f'python tools/convert_checkpoint.py inspect {request.path}, then --format NAME',
        )
    form = BY_NAME[request.form]
    flat = flat_state(read_file(request.path, request.trust))
    state = form.convert(flat)
    dropped = len(form.dropped(flat))
    expected = expected_state(with_classes(request.model, classes_in(state) or 19))
    if not any(key.startswith('auxiliary_head.') for key in expected):
        main = without_auxiliary(state)
        dropped += len(state) - len(main)
        state = main
    if form.absent:
        expected = {k: v for k, v in expected.items() if not re.match(form.absent, k)}
    require_same_keys(state, expected, f'{request.path} ({request.form})')
    require_finite(state, str(request.path))
    return state, dropped


def write_checkpoint(
    path: Path | str, state: Mapping[str, Tensor], meta: Mapping[str, Any] | None = None
) -> None:
    """Write a checkpoint that mmseg 1.x loads (``init_model``, ``load_from``), atomically.

    Args:
        path: Output file.
        state: The segmentor's state dict.
        meta: Plain values; ``dataset_meta`` (classes, palette) defaults to Cityscapes' when the
            head has 19 outputs.
    """
    info = dict(meta or {})
    if classes_in(state) == len(CITYSCAPES_CLASSES):
        palette = [list(color) for color in CITYSCAPES_PALETTE]
        info.setdefault('dataset_meta', {'classes': list(CITYSCAPES_CLASSES), 'palette': palette})
    content = {'meta': info, 'state_dict': {k: v.contiguous() for k, v in state.items()}}
    # In memory first: torch hides the errors of a disk, and writes a file's name into the file.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_bytes(Path(path), buffer.getvalue())
