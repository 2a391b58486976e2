"""What a checkpoint file is: its format, the networks it fits, what is left over."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from sfda_bench.errors import BenchError, require_known
from sfda_bench.networks.build import expected_state
from sfda_bench.networks.checkpoints.formats import (
    BY_NAME,
    WRAPPERS,
    Format,
    hints,
    recognise,
    unwrapped,
)
from sfda_bench.networks.checkpoints.reading import read_file
from sfda_bench.networks.checkpoints.state import State, differences, sha256_of
from sfda_bench.networks.checkpoints.weights import not_finite
from sfda_bench.networks.declare import heads_of, with_classes

Networks = Mapping[str, Mapping[str, Any]]
_CLASSIFIERS = ('decode_head.conv_seg.weight', 'decode_head.conv2d_list.0.weight')


@dataclass
class Inspection:
    """Findings about one checkpoint file.

    Attributes:
        file, sha256: The file.
        keys: Number of tensors found.
        format, title: Recognised format, ``None`` / '' if none.
        num_classes: Outputs of the main head, ``None`` without one.
        fits: Networks whose keys and shapes agree exactly (class count adopted).
        main_only: Networks that fit if the auxiliary head is left out.
        branches: Open question: the DeepLabV2 head may sum two or four branches.
        partial: Initial weights only; ``fits`` then means the backbone.
        dropped: Keys the format leaves out on purpose.
        nearest: If nothing fits: the nearest network and its differences.
        place: Where in the file the weights are, '' if they are bare or in ``state_dict``.
        first: The first keys, where the format is not recognised.
        not_finite: Tensors with a NaN or an infinity.
        hints: What else the file suggests.
    """

    file: str
    sha256: str
    keys: int
    format: str | None = None
    title: str = ''
    convention: str = ''
    num_classes: int | None = None
    fits: list[str] = field(default_factory=list)
    main_only: list[str] = field(default_factory=list)
    branches: bool = False
    partial: bool = False
    dropped: list[str] = field(default_factory=list)
    nearest: tuple[str, list[str]] | None = None
    hints: list[str] = field(default_factory=list)
    place: str = ''
    first: list[str] = field(default_factory=list)
    not_finite: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def classes_in(state: Mapping[str, Tensor]) -> int | None:
    """Outputs of the main head of an mmseg state dict."""
    for key in _CLASSIFIERS:
        if key in state:
            return int(state[key].shape[0])
    return None


def without_auxiliary(state: Mapping[str, Tensor]) -> State:
    """The state dict without its auxiliary head."""
    return {k: v for k, v in state.items() if not k.startswith('auxiliary_head.')}


def inspect_checkpoint(
    path: Path | str, networks: Networks, form: str | None = None, trust: bool = False
) -> Inspection:
    """Recognise a checkpoint and find the networks it fits.

    Args:
        path: The file.
        networks: Segmentor configs (``model``) by network name.
        form: Name of the format instead of recognising it.
        trust: See :func:`sfda_bench.networks.checkpoints.reading.read_file`.

    Raises:
        BenchError: The file cannot be read or holds no tensors.
    """
    path = Path(path)
    content = read_file(path, trust)
    state, place = unwrapped(content)
    if not state:
        raise BenchError(
            f'{path} holds no state dict{_inside(content)}',
            f'tensors by name, bare or in one of: {", ".join(f"`{name}`" for name in WRAPPERS)}',
        )
    found = Inspection(str(path), sha256_of(path), len(state), place=place)
    found.not_finite = not_finite(state)
    chosen = BY_NAME[require_known('format', form, BY_NAME)] if form else recognise(state)
    if chosen is None:
        found.nearest = nearest_network(state, networks)
        found.first = list(state)[:6]
        return found
    found.format, found.title, found.convention = chosen.name, chosen.title, chosen.convention
    found.branches, found.partial = chosen.summed_head, bool(chosen.absent)
    found.dropped, found.hints = chosen.dropped(state), hints(chosen, content, state)
    converted = chosen.convert(state)
    found.num_classes = classes_in(converted)
    found.fits = fitting(converted, networks, chosen)
    if not found.fits:
        main = without_auxiliary(converted)
        if len(main) < len(converted):
            found.main_only = fitting(main, networks, chosen)
        if not found.main_only:
            found.nearest = nearest_network(converted, networks, chosen)
    elif any(k.startswith('auxiliary_head.') for k in converted):
        found.main_only = fitting(without_auxiliary(converted), networks, chosen)
    return found


def _inside(content: Any) -> str:
    """The names at the top of a file, for a message."""
    if not isinstance(content, Mapping):
        return f': it is a {type(content).__name__}'
    listed = ', '.join(f'`{key}`' for key in list(content)[:8])
    return f': at its top are {listed}' if listed else ': it is empty'


def fitting(state: Mapping[str, Tensor], networks: Networks, form: Format) -> list[str]:
    """Names of the networks that would load ``state`` strictly.

    Where some have as many classes as the file, only those: one architecture trained on two label
    sets is two networks.
    """
    fits = [name for name, model in networks.items() if not _problems(state, model, form)]
    classes = classes_in(state)
    same = [name for name in fits if model_classes(networks[name]) == classes]
    return same or fits


def model_classes(model: Mapping[str, Any]) -> int | None:
    """Outputs of a segmentor config's main head."""
    return dict(heads_of(model)).get('decode_head', {}).get('num_classes')


def _problems(state: Mapping[str, Tensor], model: Mapping[str, Any], form: Format) -> list[str]:
    expected = expected_state(with_classes(model, classes_in(state) or 19))
    if form.absent:
        expected = {k: v for k, v in expected.items() if not re.match(form.absent, k)}
    return differences(state, expected)


def nearest_network(
    state: Mapping[str, Tensor], networks: Networks, form: Format | None = None
) -> tuple[str, list[str]] | None:
    """The network with most keys in common, and what differs."""
    form = form or BY_NAME['mmseg']
    scored = []
    for name, model in networks.items():
        expected = expected_state(model)
        common = sum(k in expected and expected[k].shape == v.shape for k, v in state.items())
        scored.append((common / max(len(expected), len(state)), name))
    if not scored or max(scored)[0] == 0:
        return None
    name = max(scored)[1]
    return name, _problems(state, networks[name], form)


def branches_of(model: Mapping[str, Any]) -> int | None:
    """Branches the main DeepLabV2 head of a config sums; ``None`` for other heads."""
    head = dict(heads_of(model)).get('decode_head', {})
    return int(head.get('num_branches', 4)) if head.get('type') == 'DLV2Head' else None


def describe(found: Inspection) -> str:
    """The findings as text for people."""
    facts: list[tuple[str, str]] = [
        ('sha256', found.sha256),
        ('tensors', str(found.keys)),
        ('format', found.title or 'not recognised'),
        ('weights', found.place),
        ('keys', ', '.join(found.first) + ' ...' if found.first else ''),
        ('DAMAGED', _not_finite_text(found)),
        *(('', hint) for hint in found.hints),
        ('trained', found.convention),
        ('classes', str(found.num_classes or '')),
        ('content', 'initial weights of a backbone; heads stay random' if found.partial else ''),
        ('fits', ', '.join(found.fits) or 'no network exactly'),
        ('fits', _without_aux_text(found)),
        (
            'left out',
            f'{len(found.dropped)} keys, e.g. {found.dropped[0]}' if found.dropped else '',
        ),
        ('branches', BRANCHES if found.branches else ''),
        ('nearest', f'{found.nearest[0]}: {"; ".join(found.nearest[1])}' if found.nearest else ''),
    ]
    return '\n'.join([found.file, *(f'  {name:<9} {text}' for name, text in facts if text)])


BRANCHES = (
    '2 or 4? Both heads have these keys, so a wrong choice loads silently. '
    'AdaptSegNet, MaxSquare, URMA, CROTS sum 2; ADVENT, IntraDA, CRST, IAPC sum 4.'
)


def _without_aux_text(found: Inspection) -> str:
    shown = ', '.join(found.main_only)
    return f'{shown} (auxiliary head left out)' if shown else ''


def _not_finite_text(found: Inspection) -> str:
    shown = ', '.join(found.not_finite[:4])
    return f'not finite (NaN or infinity): {shown}' if shown else ''
