"""The search space of a method and the settings that a sweep tries.

A method's config may declare it beside its stages::

    search = dict(
        axes={'optimizer.lr': 'log(0.1, 10)', 'iters': 'times(0.5, 1, 2)',
              'adapter.threshold': '[0.9, 0.95, 0.968]'},
        optimises=['entropy'],
    )

``log(a, b)`` draws a factor between a and b evenly on a logarithmic scale, ``times(...)`` one of
the factors listed, a list one of the values. ``optimises`` names the validators that are the
method's own objective. A method that declares no axes has two: its learning rates and its
iterations. Nothing here is read when an entry is planned.
"""

from __future__ import annotations

import ast
import hashlib
import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sfda_bench.errors import BenchError, require_known
from sfda_bench.plan import catalog
from sfda_bench.plan.method import Method
from sfda_bench.plan.settings import STAGE, Setting, meant, settings_of
from sfda_bench.scoring.candidates import VALIDATORS

#: Raised when the same method and budget would try other settings.
SPACE_VERSION = 1
RATE, ITERATIONS = 'lr', 'iters'
DEFAULT_AXES = {RATE: 'log(0.1, 10)', ITERATIONS: 'times(0.5, 1, 2)'}
_FORM = re.compile(r'^(log|times)\((.*)\)$')
#: Draws an axis may take to find settings that were not tried yet.
_PATIENCE = 64


@dataclass(frozen=True)
class Axis:
    """One direction of the search.

    Attributes:
        name: A setting as a user types it; ``lr`` and ``iters`` mean those of every stage.
        form: ``'log'``, ``'times'`` or ``'values'``.
        values: The two ends, the factors, or the values.
    """

    name: str
    form: str
    values: tuple[Any, ...]

    @property
    def text(self) -> str:
        """As it is written."""
        listed = ', '.join(map(repr, self.values))
        return f'[{listed}]' if self.form == 'values' else f'{self.form}({listed})'

    def at(self, place: float) -> Any:
        """The factor or value at a place of [0, 1)."""
        if self.form == 'log':
            low, high = self.values
            return low * (high / low) ** place
        return self.values[int(place * len(self.values))]


@dataclass(frozen=True)
class Space:
    """The search space of a method.

    Attributes:
        method: Its name.
        axes: Two or three directions.
        optimises: Validators that are the method's own objective.
    """

    method: str
    axes: tuple[Axis, ...]
    optimises: tuple[str, ...] = ()


def parse_axis(name: str, text: Any, where: str) -> Axis:
    """One axis as it is written.

    Raises:
        BenchError: Another form, a factor that is not above 0, or fewer than two values.
    """
    error = BenchError(
        f'axis {name}={text} of {where}',
        'log(low, high) or times(factor, ...) with factors above 0, or [value, ...], two at least',
    )
    if isinstance(text, (list, tuple)):
        form, inside = 'values', tuple(text)
    else:
        found = _FORM.match(str(text).strip())
        form = found[1] if found else 'values'
        try:
            inside = tuple(ast.literal_eval(f'[{found[2]}]' if found else str(text)))
        except (ValueError, SyntaxError, TypeError):
            raise error from None
    factors = form == 'values' or all(
        isinstance(v, (int, float)) and math.isfinite(v) and v > 0 for v in inside
    )
    if len(inside) < 2 or not factors or (form == 'log' and not _rising(inside)):
        raise error
    return Axis(name, form, inside)


def _rising(ends: Sequence[float]) -> bool:
    return len(ends) == 2 and ends[0] < ends[1]


def space_of(method: Method, typed: Mapping[str, str | None] | None = None) -> Space:
    """The search space of a method: as typed, as its config declares it, or the default axes.

    Args:
        method: The method.
        typed: Axes by name, from the command line; ``None`` as a form: that of the config or of
            the default axes.

    Raises:
        BenchError: An axis of another form, an unknown validator, or another field in ``search``.
    """
    block = catalog.load('methods', _reference(method)).get('search', {})
    for key in block:
        require_known(f'field of `search` in {method.file}', key, ('axes', 'optimises'))
    for name in block.get('optimises', ()):
        require_known(f'validator in `optimises` of {method.file}', name, VALIDATORS)
    declared = dict(block.get('axes') or DEFAULT_AXES)
    known = {**DEFAULT_AXES, **declared}
    wanted = declared
    if typed:
        wanted = {n: form or known[require_known('axis', n, known)] for n, form in typed.items()}
    axes = tuple(parse_axis(name, form, method.name) for name, form in wanted.items())
    return Space(method.name, axes, tuple(block.get('optimises', ())))


def _reference(method: Method) -> str:
    """What the catalogue loads the method's config by."""
    return method.name if method.name in catalog.known('methods') else method.file


def trials(
    space: Space, method: Method, profile: str, task: str, base: Mapping[str, Any], budget: int
) -> list[dict[str, Any]]:
    """The settings to try, first the published ones; those of a smaller budget come first.

    Args:
        space: The search space.
        method: The method.
        profile: Profile of the suite.
        task: The task, whose overrides decide what is published.
        base: Settings that every trial has, as the user typed them.
        budget: How many.

    Raises:
        BenchError: A budget below 1, an axis that the method does not have, or fewer different
            settings than the budget.
    """
    if budget < 1:
        raise BenchError(f'a budget of {budget} trials', '1 or more')
    settings = settings_of(method.stages(profile, task, base), method.code_files)
    moved = [(axis, _meant(axis, settings, method)) for axis in space.axes]
    found: list[dict[str, Any]] = [dict(base)]
    for point in itertools.islice(points(space), _PATIENCE * budget):
        if len(found) == budget:
            return found
        draw = dict(base)
        for (axis, targets), place in zip(moved, point, strict=True):
            draw.update(_changed(axis, targets, place))
        if draw not in found and not _is_published(draw, base, moved):
            method.stages(profile, task, draw)  # refused here, if at all
            found.append(draw)
    if len(found) == budget:
        return found
    raise BenchError(
        f'{len(found)} different settings of {method.name} on {task} for a budget of {budget}',
        'a budget that the axes can fill',
        f'--budget {len(found)}, or a wider axis: --axes {space.axes[0].name}=...',
    )


def points(space: Space) -> Iterator[tuple[float, ...]]:
    """Points of [0, 1)^d from a scrambled Sobol sequence; the seed is the method's name."""
    from scipy.stats import qmc

    text = f'{space.method}:{SPACE_VERSION}'.encode()
    seed = int.from_bytes(hashlib.sha256(text).digest()[:8], 'big')
    sequence = qmc.Sobol(len(space.axes), scramble=True, seed=seed)
    while True:
        # one at a time: a point does not depend on how many are drawn
        yield tuple(map(float, sequence.random(1)[0]))


def _meant(axis: Axis, settings: Sequence[Setting], method: Method) -> list[Setting]:
    """The settings that an axis moves together."""
    if axis.name == RATE:
        found = [s for s in settings if s.key == 'lr' and s.holder.endswith('optimizer')]
    elif axis.name == ITERATIONS:
        found = [s for s in settings if s.holder == STAGE and s.key == 'iters']
    else:
        name = method.spelled(axis.name)
        found = [s for s in settings if name in s.names]
        if len({s.full for s in found}) > 1:
            found = meant(method.name, name, settings)
    if not found:
        raise BenchError(
            f'axis {axis.name}: {method.name} has no such setting',
            f'a full name, such as {", ".join(sorted({s.full for s in settings})[:4])}',
            f'correct `search` in {method.file}, or --axes',
        )
    if axis.form != 'values' and any(not isinstance(s.value, (int, float)) for s in found):
        raise BenchError(f'axis {axis.name}={axis.text}: not a number', 'a list of values')
    return found


def _name(setting: Setting) -> str:
    """How a trial's name spells a setting: in full, but for iterations, which mean one thing."""
    iterations = setting.holder == STAGE and setting.key == ITERATIONS
    return ITERATIONS if iterations else setting.full


def _changed(axis: Axis, targets: Sequence[Setting], place: float) -> dict[str, Any]:
    """Settings by full name; without a stage in front where every stage gets the same value."""
    drawn = axis.at(place)
    values = {(s.stage, _name(s)): _scaled(axis, s.value, drawn) for s in targets}
    out: dict[str, Any] = {}
    for (stage, full), value in values.items():
        alike = all(v == value for (_, other), v in values.items() if other == full)
        out[full if alike else f'{stage}.{full}'] = value
    return out


def _scaled(axis: Axis, published: Any, drawn: Any) -> Any:
    if axis.form == 'values':
        return drawn
    if isinstance(published, int):
        return max(1, round(published * drawn))
    # three digits: names of entries are read
    return float(f'{published * drawn:.3g}')


def _is_published(
    draw: Mapping[str, Any], base: Mapping[str, Any], moved: Sequence[tuple[Axis, list[Setting]]]
) -> bool:
    """Whether a draw changes nothing."""
    values = {name: s.value for _, moves in moved for s in moves for name in s.names}
    return all(values.get(name) == value for name, value in draw.items() if name not in base)
