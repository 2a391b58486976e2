"""Composition: a method that starts from another method's result instead of the source model.

``cbst[init=bn_adapt]`` runs the stages of ``bn_adapt`` as its own entry does, then those of
``cbst`` with the last checkpoint of the former wherever they take the source model. Chains nest:
``cbst[init=tent[init=bn_adapt]]``. A checkpoint handed on is always that of the plain network, with
all its heads; whatever else a method needs (projections, a metric, statistics put aside) it makes
of that, as it does of the source model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, get_args

from sfda_bench.errors import BenchError, UnknownNameError
from sfda_bench.plan import catalog
from sfda_bench.plan.method import Card, Method
from sfda_bench.plan.selectors import INIT, MethodSelector
from sfda_bench.store.record import Fidelity, Track


@dataclass(frozen=True)
class Link:
    """A method of a chain.

    Attributes:
        method: The method.
        params: The user's settings of its own stages.
    """

    method: Method
    params: dict[str, Any]

    @property
    def card(self) -> Card:
        """The method's card."""
        return self.method.card


def links_of(method: Method, params: Mapping[str, Any]) -> list[Link]:
    """The methods of a chain in the order in which they run; the last one is ``method``.

    Args:
        method: The method that was named.
        params: Settings as the user typed them, perhaps with another method in ``init``.

    Raises:
        UnknownNameError: ``init`` names no method.
        BenchError: The methods do not go together.
    """
    found = [Link(method, method.own(params))]
    before = method.started_from(params)
    while before is not None:
        initial = _method(before.name, found[0].method)
        found.insert(0, Link(initial, initial.own(before.params)))
        before = initial.started_from(before.params)
    for first, second in pairwise(found):
        _check(first.card, second.card)
    if test_time(found) and any(link.card.track == 'uda' for link in found):
        raise BenchError(
            f'test-time method {method.name} starts from one that reads source data',
            'an init without source data: there is no track for such a stream',
            'python tools/run_suite.py list methods',
        )
    return found


def _method(name: str, after: Method) -> Method:
    """A method by its name, or by the path of its config, which makes the name known."""
    if name.endswith('.py'):
        name = catalog.add(name)
    known = catalog.known('methods')
    if name not in known:
        words = after.starts if any(INIT in stage for stage in after.spec()['stages']) else []
        raise UnknownNameError(f'method that {after.name} could start from', name, [*known, *words])
    return Method(name)


def _check(first: Card, second: Card) -> None:
    """Refuse a method after another one where that could only mislead.

    Raises:
        BenchError: Naming both.
    """
    found = f'{second.name}[{INIT}={first.name}]'
    if second.track == 'bound':
        raise BenchError(
            f'{found}: {second.name} is a bound, which no adaptation precedes',
            'a method that adapts',
            f'leave {INIT} out; the row of {first.name} itself: --method {first.name}',
        )
    if second.track == 'black-box':
        raise BenchError(
            f'{found}: {second.name} sees predictions of the source model, no weights',
            'a method that starts from weights',
            f'leave {INIT} out',
        )
    if first.track == 'bound':
        raise BenchError(
            f'{found}: {first.name} is a bound, to be compared with and not started from',
            'a method that adapts; without one, a method starts from the source model',
            f'leave {INIT} out',
        )
    if first.track == 'test-time':
        raise BenchError(
            f'{found}: the stream of {first.name} leaves predictions, no checkpoint',
            'a method that adapts offline: any but those of track test-time',
            'python tools/run_suite.py list methods',
        )


def test_time(links: Sequence[Link]) -> bool:
    """Whether a chain ends in a stream."""
    return links[-1].card.track == 'test-time'


def selector_of(links: Sequence[Link]) -> MethodSelector:
    """A chain as the selector that names it; methods from outside by their names."""
    *before, last = links
    init = {INIT: selector_of(before).text} if before else {}
    return MethodSelector(last.method.name, {**last.params, **init})


def prefix_of(rest: Sequence[Link]) -> str:
    """What stands before the names of stages of the first of ``rest``, where others follow it.

    ``bn_adapt.`` in ``tent[init=bn_adapt]``, ``tent.bn_adapt.`` two before the end.
    """
    return ''.join(f'{link.method.name}.' for link in reversed(rest[:-1]))


def params_of(links: Sequence[Link], params: Mapping[str, Any]) -> dict[str, Any]:
    """The settings as typed, with the canonical text of what the chain starts from."""
    return {**params, **({INIT: selector_of(links[:-1]).text} if links[1:] else {})}


def card_of(links: Sequence[Link]) -> Card:
    """The card of a whole chain: that of its last method, as far as the others let it stand.

    The track is the one that sees most, so a source-free method after one that reads source data is
    ``uda``. A stream stays ``test-time``: its name says that there was adaptation before it.
    The fidelity is the lesser one. Numbers reported of a method are not of the chain.
    """
    cards = [link.card for link in links]
    if not cards[1:]:
        return cards[0]
    mechanisms = dict.fromkeys(m for card in reversed(cards) for m in card.mechanisms)
    sees: tuple[Track, ...] = ('black-box', 'source-free', 'uda')
    changes = {
        'title': f'{cards[-1].title} after {_title(selector_of(links[:-1]))}',
        'track': 'test-time'
        if test_time(links)
        else max((card.track for card in cards), key=sees.index),
        'fidelity': max((card.fidelity for card in cards), key=get_args(Fidelity).index),
        'mechanisms': list(mechanisms),
        'reported': '',
        'reported_label': '',
    }
    return cards[-1].model_copy(update=changes)


def _title(selector: MethodSelector) -> str:
    return title_of(selector.name, selector.params)


def title_of(name: str, params: Mapping[str, Any]) -> str:
    """What a row is called: ``CBST [iters=20] after BN-adapt [source_weight=0.5]``.

    Args:
        name: Of the method; of one whose config is not here it is the title.
        params: Its settings.
    """
    try:
        method = Method(name)
    except BenchError:
        title, own, before = name, dict(params), None
    else:
        title, own = method.card.title, method.own(params)
        before = method.started_from(params)
    inside = ', '.join(f'{key}={value}' for key, value in sorted(own.items()))
    title = f'{title} [{inside}]' if inside else title
    return f'{title} after {_title(before)}' if before else title


def names_of(selector: MethodSelector) -> list[str]:
    """Names of all methods of a chain, whether or not they are here."""
    try:
        before = Method(selector.name).started_from(selector.params)
    except BenchError:
        before = None
    return [selector.name, *(names_of(before) if before else [])]


def networks_of(links: Sequence[Link], profile: str) -> list[str] | None:
    """Networks that a chain is run on in a profile, those that all its methods are run on.

    Returns:
        Empty: those of the suite. ``None``: its methods are run on different ones.
    """
    lists = [found for link in links if (found := link.method.networks(profile))]
    shared = [name for name in (lists or [[]])[-1] if all(name in found for found in lists)]
    return shared if shared or not lists else None


def require_networks(links: Sequence[Link], profile: str) -> list[str]:
    """:func:`networks_of`, where the user names none.

    Raises:
        BenchError: The methods are run on different ones.
    """
    shared = networks_of(links, profile)
    if shared is not None:
        return shared
    told = '; '.join(
        f'{link.method.name}: {", ".join(link.method.networks(profile)) or "any"}' for link in links
    )
    raise BenchError(
        f'{selector_of(links).text} has methods of different networks ({told})',
        'one network for the whole chain',
        '--network NAME',
    )


def skip_reason(links: Sequence[Link], task: str, network: str) -> str:
    """Why a chain cannot run on a task or network; '' if it can."""
    reasons = [(link.method.name, link.method.skip_reason(task, network)) for link in links]
    return next((f'{n}: {r}' if links[1:] else r for n, r in reasons if r), '')
