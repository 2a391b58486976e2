"""Ids of images in a stream: ``round<r>/<sample id>`` where it shows every image several times."""

from __future__ import annotations

import re

_ROUND = re.compile(r'round(\d+)/(.+)', re.DOTALL)


def round_id(sample_id: str, number: int, rounds: int) -> str:
    """Id of an image in round ``number`` (from 1); the plain id in a stream of one round."""
    return sample_id if rounds == 1 else f'round{number}/{sample_id}'


def split_round(name: str) -> tuple[int, str]:
    """``(round, sample id)`` of an image's id; round 0 if the id names none."""
    found = _ROUND.fullmatch(name)
    return (int(found[1]), found[2]) if found else (0, name)
