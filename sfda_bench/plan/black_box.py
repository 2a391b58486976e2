"""Rules for black-box methods: they see the source model's predictions, never its weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sfda_bench.errors import BenchError
from sfda_bench.plan.method import Method

TRACK = 'black-box'


def is_black_box(method: Method) -> bool:
    """Whether the method's own stages must not read the source model's weights."""
    return method.card.track == TRACK


def check(
    method: Method,
    spec: Mapping[str, Any],
    kind: str,
    vendor: bool,
    from_source: bool,
    reads: set[str],
) -> None:
    """Refuse a stage that breaks the box.

    Args:
        method: Whose stage it is.
        spec: The stage.
        kind: Its kind.
        vendor: Whether the owner of the source model runs it, to hand out predictions.
        from_source: Whether it starts from the source model's weights.
        reads: Names of the stages whose files it reads.

    Raises:
        BenchError: A vendor's stage that does not label, or outside this track; any other stage
            that starts from the source model or reads its folder.
    """
    name = spec['name']
    if vendor and (not is_black_box(method) or kind != 'label' or not from_source):
        raise BenchError(
            f'stage {name} of method {method.name} is a vendor stage of kind {kind}, '
            f'track {method.card.track}',
            f"track {TRACK}, kind label, init='source': it hands out predictions and nothing else",
            f'mend {method.file}',
        )
    if is_black_box(method) and not vendor and (from_source or 'source' in reads):
        raise BenchError(
            f"stage {name} of black-box method {method.name} reads the source model's weights",
            'its predictions only: a vendor stage, and training from scratch on what it wrote',
            f"give it init='scratch' (or the name of a stage trained on predictions), or, if it "
            f'makes the predictions, vendor=True, in {method.file}',
        )
