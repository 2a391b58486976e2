"""From a foreign checkpoint to a plain mmseg state dict, strictly."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sfda_bench.errors import require_known
from sfda_bench.networks.build import expected_state
from sfda_bench.networks.checkpoints.formats import BY_NAME, flat_state
from sfda_bench.networks.checkpoints.reading import read_file
from sfda_bench.networks.checkpoints.state import State, require_same_keys
from sfda_bench.networks.checkpoints.weights import require_finite


def convert_checkpoint(
    path: Path | str,
    converter: str,
    network_model_cfg: Mapping[str, Any],
    *,
    trust: bool = False,
) -> State:
    """Read a foreign checkpoint and return the state dict of the network's segmentor.

    Args:
        path: The checkpoint file.
        converter: A name in :data:`~sfda_bench.networks.checkpoints.formats.BY_NAME`.
        network_model_cfg: The ``model`` of the network config.
        trust: See :func:`sfda_bench.networks.checkpoints.reading.read_file`.

    Returns:
        Every key of the network. For initial weights (a backbone trained on ImageNet) all but the
        keys the format cannot have, i.e. those of the heads.

    Raises:
        BenchError: Unknown converter, unreadable file, or keys and shapes that do not fit; the
            message lists what is missing and what is left over.
    """
    form = BY_NAME[require_known('checkpoint converter', converter, BY_NAME)]
    state = form.convert(flat_state(read_file(Path(path), trust)))
    expected = expected_state(network_model_cfg)
    if form.absent:
        expected = {k: v for k, v in expected.items() if not re.match(form.absent, k)}
    require_same_keys(state, expected, f'{path} ({converter})')
    require_finite(state, str(path))
    return state
