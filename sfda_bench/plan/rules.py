"""Rules for values of settings: types by the constructor's annotations, ranges by name."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping
from typing import Any

from sfda_bench.errors import BenchError
from sfda_bench.plan.signatures import LIBRARY, REQUIRED, UNREADABLE

Rule = tuple[Callable[[Any], bool], str]


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _within(low: float, high: float) -> Callable[[Any], bool]:
    return lambda value: _number(value) and low <= value <= high


def _below_one(value: Any) -> bool:
    return _number(value) and 0 <= value < 1


def _pair(value: Any) -> bool:
    """A width and a height; one number stands for a square."""
    parts = value if isinstance(value, (list, tuple)) else (value,)
    return len(parts) <= 2 and all(map(_count, parts))


def _chance(value: Any) -> bool:
    return isinstance(value, bool) or _within(0, 1)(value)


def _each(rule: Callable[[Any], bool]) -> Callable[[Any], bool]:
    def holds(value: Any) -> bool:
        parts = value if isinstance(value, (list, tuple)) else (value,)
        return bool(parts) and all(map(rule, parts))

    return holds


def _one_of(*words: str) -> Rule:
    return lambda value: value in words, f'one of: {", ".join(sorted(words))}'


COUNT: Rule = (_count, 'a whole number of at least 1')
WHOLE: Rule = (lambda v: _count(v) or (_number(v) and v == 0), 'a whole number of at least 0')
SHARE: Rule = (_within(0, 1), 'a number from 0 to 1')
PART: Rule = (lambda v: _number(v) and 0 < v <= 1, 'a number above 0, at most 1')
NOT_NEGATIVE: Rule = (_within(0, math.inf), 'a finite number that is not negative')
POSITIVE: Rule = (lambda v: _number(v) and v > 0, 'a finite number above 0')
POSITIVES: Rule = (_each(POSITIVE[0]), 'finite numbers above 0')
SIZE: Rule = (_pair, 'whole numbers of at least 1: (height, width) or (width, height)')
#: By the last part of a setting's name, with the type in front where one class has a range of its
#: own. ``None`` passes everywhere: it stands for 'not used'.
RULES: dict[str, Rule] = {
    **dict.fromkeys(
        ('iters', 'batch_size', 'rounds', 'interval', 'steps', 'stride', 'rows', 'tries',
         'per_class', 'embedding', 'projection', 'accumulative_counts', 'horizon', 'end',
         'num_classes', 'backbone_repeat', 'STvM.hidden', 'parts', 'window', 'decoders',
         'RandomShortSide.low', 'RandomShortSide.high', 'short_side', 'ScaledSquare.size'),
        COUNT,
    ),
    **dict.fromkeys(
        ('begin', 'warmup', 'contrast_start', 'ignore_top', 'ignore_bottom', 'small_pixels',
         'min_classes', 'min_count', 'hidden', 'seed', 'part', 'spread', 'pad_label'),
        WHOLE,
    ),
    **dict.fromkeys(
        ('momentum', 'dampening', 'source_weight', 'min_share', 'chance', 'prob', 'restore',
         'threshold', 'positive_threshold', 'negative_threshold', 'confident', 'start',
         'start_factor', 'end_factor', 'jitter', 'jitter_probability', 'blur_probability',
         'kernel_share', 'hue', 'iw_ratio', 'margin', 'similarity', 'decoder_dropout'),
        SHARE,
    ),
    **dict.fromkeys(
        ('restart', 'first', 'every', 'points', 'longest', 'reduce', 'cell', 'least',
         'least_piece', 'CandidateWriter.part'),
        COUNT,
    ),
    **dict.fromkeys(
        ('majority', 'blur', 'cutout', 'cell_share', 'share_momentum', 'confidence_floor',
         'confidence_share', 'TeacherStudentViews.colour'),
        SHARE,
    ),
    **dict.fromkeys(('DAT.tensors',), COUNT),
    **dict.fromkeys(('DAT.search',), WHOLE),
    **dict.fromkeys(('DAT.low', 'DAT.high'), SHARE),
    **dict.fromkeys(('DAT.rate_decay',), PART),
    **dict.fromkeys(('DAT.ratios',), POSITIVES),
    **dict.fromkeys(('discount', 'share_start'), POSITIVE),
    **dict.fromkeys(('portion', 'easy_portion'), PART),
    **dict.fromkeys(
        ('lr', 'weight_decay', 'eps', 'power', 'eta_min', 'lr_mult', 'decay_mult', 'gamma',
         # weights of losses: 0 leaves one out, below 0 it would be maximised
         'adversarial_main', 'adversarial_auxiliary', 'segmentation_auxiliary',
         'regulariser_weight', 'loss_weight', 'auxiliary_weight', 'alpha', 'batch_decay',
         'layer_decay', 'gain',
         'reset_below'),
        NOT_NEGATIVE,
    ),
    **dict.fromkeys(
        ('temperature', 'max_value', 'max_norm',
         # of soft labels, where it divides
         'LRENT.alpha', 'PseudoLabelWriter.alpha', 'SoftLabelWriter.alpha'),
        POSITIVE,
    ),
    **dict.fromkeys(('scale', 'scales', 'factors', 'blur_sigma'), POSITIVES),
    **dict.fromkeys(('crop_size', 'input_size', 'base_size', 'clean_size', 'cbc_size'), SIZE),
    'sizes': (
        _each(lambda v: _pair(v) or (_number(v) and v > 0)),
        'sizes in pixels, or factors above 0',
    ),
    'radius': (_each(NOT_NEGATIVE[0]), 'finite numbers that are not negative'),
    'fill': (_each(_within(0, 255)), 'grey levels from 0 to 255'),
    'flip': (_chance, 'true, false, or a probability from 0 to 1'),
    'betas': (
        lambda v: isinstance(v, (list, tuple)) and len(v) == 2 and all(map(_below_one, v)),
        'two numbers from 0 to 1, 1 left out',
    ),
    # words that their classes annotate as any text
    **dict.fromkeys(
        ('SelfTraining.regulariser', 'LRENT.regulariser'),
        _one_of('none', 'mrkld', 'mrl2', 'mrent'),
    ),
    **dict.fromkeys(
        ('CropStreams.mode', 'HistoricalCrops.mode', 'PackSizes.mode'),
        _one_of('bicubic', 'bilinear'),
    ),
}  # fmt: skip


def rule_of(key: str, kind: str = '') -> Rule | None:
    """The range of a setting by its name; ``None`` where nothing is known of it.

    Args:
        key: Last part of its name.
        kind: Type of the object that it belongs to.
    """
    return _own_rule(key, kind) or RULES.get(key)


def _own_rule(key: str, kind: str) -> Rule | None:
    return RULES.get(f'{kind.split(".")[-1]}.{key}')


def check_value(key: str, value: Any, shown: str, kind: str = '', where: str = '') -> None:
    """Refuse a value that is not finite or out of the range that its name implies.

    Args:
        key: Last part of the setting's name.
        value: Its value; what a dictionary holds is checked by the names there.
        shown: How the message names it.
        kind: Type of the object that it belongs to.
        where: For the message, after ``shown``.

    Raises:
        BenchError: It is not to be had.
    """
    if isinstance(value, Mapping):
        for name, inner in value.items():
            own = str(value.get('type', ''))
            check_value(str(name), inner, f'{shown}.{name}', own, where)
        return
    # a class that is not known here may have a word where others have a number
    known = kind in ('', *LIBRARY) or _own_rule(key, kind)
    if value is None or (isinstance(value, str) and not known):
        return
    rule = rule_of(key, kind)
    if rule is not None and not rule[0](value):
        raise BenchError(f'{shown}{where} = {value!r}', rule[1])
    for part in value if isinstance(value, (list, tuple)) else (value,):
        if isinstance(part, Mapping):
            check_value(key, part, shown, '', where)
        elif isinstance(part, float) and not math.isfinite(part):
            raise BenchError(f'{shown}{where} = {value!r}', 'finite numbers')


def check_together(place: Mapping[str, Any], where: str) -> None:
    """Refuse values of one object that its class would refuse only when it is built.

    Args:
        place: Config of an optimiser or a schedule.
        where: How the message names it.

    Raises:
        BenchError: They exclude each other.
    """
    momentum, dampening = place.get('momentum', 0.0), place.get('dampening', 0.0)
    if place.get('nesterov') and (not momentum or dampening):
        raise BenchError(
            f'{where}: nesterov with momentum = {momentum}, dampening = {dampening}',
            'a momentum above 0 and no dampening',
        )
    begin, end = place.get('begin', 0), place.get('end')
    if _number(begin) and _number(end) and begin >= end:
        raise BenchError(f'{where}: begin = {begin}, end = {end}', 'an end after the beginning')


def converted(name: str, value: Any, types: str, default: Any) -> Any:
    """``value`` as its parameter wants it: an int for a float, ``'none'`` where that is a choice.

    Args:
        name: As the user typed it.
        value: A Python literal or text.
        types: The parameter's annotation; '' if it has none: then the default's type counts.
        default: The value so far.

    Raises:
        BenchError: It is of another type, or not among the choices.
    """
    choices = _choices(types)
    wanted = _atoms(types) or _atoms_of(default)
    if value is None and ('none' in choices or wanted == {'str'}):
        value = 'none'
    if choices and isinstance(value, str) and value not in choices:
        raise BenchError(f'parameter {name} = {value!r}', f'one of: {", ".join(sorted(choices))}')
    if isinstance(value, int) and not isinstance(value, bool) and 'float' in wanted:
        value = float(value)
    if isinstance(value, tuple):
        value = list(value)
    if wanted and not wanted & _kinds(value):
        shown = '' if default in (REQUIRED, UNREADABLE) else f', such as {default!r}'
        kinds = ' or '.join(sorted(wanted)) or 'text'
        raise BenchError(
            f'parameter {name} = {value!r} is a {type(value).__name__}', f'a {kinds}{shown}'
        )
    return value


def _choices(types: str) -> set[str]:
    """The strings of the literal types in an annotation."""
    tree = ast.parse(types or '0', mode='eval')
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and ast.unparse(node.value) == 'Literal':
            values = ast.literal_eval(ast.unparse(node.slice))
            found |= {v for v in (values if isinstance(values, tuple) else (values,)) if v}
    return found


def _atoms(types: str) -> set[str]:
    """Kinds that an annotation allows; empty if it allows anything or is not understood."""
    if not types:
        return set()
    found: set[str] = set()
    for part in _union(ast.parse(types, mode='eval').body):
        name = ast.unparse(part.value if isinstance(part, ast.Subscript) else part)
        kinds = {
            'float': {'float', 'int'}, 'int': {'int'}, 'bool': {'bool'}, 'str': {'str'},
            'Literal': {'str'}, 'None': {'none'}, 'tuple': {'list'}, 'list': {'list'},
            'Sequence': {'list'}, 'Size': {'list'}, 'dict': {'dict'}, 'Mapping': {'dict'},
        }.get(name)  # fmt: skip
        if kinds is None:
            return set()
        found |= kinds
    return found


def _union(node: ast.expr) -> list[ast.expr]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return [*_union(node.left), *_union(node.right)]
    return [node]


def _atoms_of(default: Any) -> set[str]:
    if default is None or default in (REQUIRED, UNREADABLE):
        return set()
    return {'float', 'int'} if type(default) is float else _kinds(default)


def _kinds(value: Any) -> set[str]:
    if value is None:
        return {'none'}
    if isinstance(value, (list, tuple)):
        return {'list'}
    return {'dict'} if isinstance(value, dict) else {type(value).__name__}
