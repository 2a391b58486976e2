"""Names of a method's settings: what a user types is what changes, or it is refused.

A setting's full name says whose it is: ``optimizer.lr``, ``stage.flip``, ``hooks.teacher.momentum``
or ``losses.negative.loss_weight``, with the stage in front where one alone is meant
(``teach.adapter.dropout``). The last part alone is enough where it means one thing. Every parameter
of a stage's objects can be set, whether or not its config repeats it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sfda_bench.errors import BenchError, UnknownNameError
from sfda_bench.plan.rules import check_together, check_value
from sfda_bench.plan.signatures import REQUIRED, UNREADABLE, Parameter, parameters_of

#: Fields of a stage itself; the value is the type of those that a stage need not state.
STAGE_FIELDS: dict[str, str] = {
    'iters': 'int', 'batch_size': 'int', 'crop_size': 'tuple[int, int] | None',
    'input_size': 'tuple[int, int] | None', 'flip': 'bool | float', 'rounds': 'int',
    'order': 'list | None', 'init': 'str',
}  # fmt: skip
#: Those that every training stage has, stated or not.
ALWAYS = ('crop_size', 'input_size', 'flip')
#: What a stage's own fields belong to in their full names.
STAGE = 'stage'
#: Parts that hold several objects by name.
NAMED = ('losses', 'hooks')
#: Parts of a stage that are built from a config of their own.
PARTS = ('adapter', 'hooks', 'writer', 'pack', 'optim_wrapper', 'param_scheduler', 'augment')


@dataclass(frozen=True)
class Setting:
    """One value of one stage that may be changed.

    Attributes:
        stage: Name of the stage.
        holder: What it belongs to: ``adapter``, ``optimizer``, ..., or ``stage`` itself.
        key: Its name there.
        place: The dictionary that holds it or would.
        parameter: Its default and type.
    """

    stage: str
    holder: str
    key: str
    place: dict[str, Any]
    parameter: Parameter

    @property
    def full(self) -> str:
        """``holder.key``."""
        return f'{self.holder}.{self.key}'

    @property
    def plain(self) -> set[str]:
        """Every spelling without the stage: full, short, and as a part of the adapter.

        An adapter's losses and hooks belong to it: ``adapter.momentum``, ``teacher.momentum`` are
        ``hooks.teacher.momentum``; ``weight_entropy`` is ``losses.entropy.loss_weight``.
        """
        names = {self.full, self.key}
        part, _, name = self.holder.partition('.')
        if part in NAMED:
            names |= {f'{name}.{self.key}', f'adapter.{self.key}'}
            if self.key == 'loss_weight':
                names |= {f'weight_{name}', f'adapter.weight_{name}'}
        return names

    @property
    def names(self) -> set[str]:
        """Every spelling, alone and with the stage in front."""
        return self.plain | {f'{self.stage}.{name}' for name in self.plain}

    @property
    def kind(self) -> str:
        """Type of what it belongs to; '' for the stage itself."""
        return '' if self.holder == STAGE else str(self.place.get('type', ''))

    @property
    def value(self) -> Any:
        """What it is now."""
        return self.place.get(self.key, self.parameter.default)


def settings_of(stages: Iterable[dict[str, Any]], code_files: Iterable[Path] = ()) -> list[Setting]:
    """Every setting of a method's stages, in their order."""
    files = tuple(code_files)
    return [setting for stage in stages for setting in _settings(stage, files)]


def _settings(stage: dict[str, Any], files: tuple[Path, ...]) -> Iterator[Setting]:
    name = stage['name']
    always = ALWAYS if stage.get('kind', 'adapt') in ('adapt', 'train') else ()
    for key, types in STAGE_FIELDS.items():
        if key in stage or key in always:
            yield Setting(name, STAGE, key, stage, Parameter(stage.get(key), types))
    for part in PARTS:
        for holder, place in _holders(part, stage.get(part)):
            for key, parameter in _known(place, files).items():
                yield Setting(name, holder, key, place, parameter)


def _holders(part: str, value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """(name, dictionary) of every object that a part of a stage builds."""
    if part in NAMED and isinstance(value, (list, tuple)):
        value = {str(index): item for index, item in enumerate(value)}
    if isinstance(value, (list, tuple)):
        short = {'param_scheduler': 'schedule'}.get(part, part)
        for index, item in enumerate(value):
            yield from _holders(short if len(value) == 1 else f'{short}{index}', item)
    elif isinstance(value, dict) and part == 'optim_wrapper':
        yield from _optimisers('', value)
    elif isinstance(value, dict) and part in NAMED:
        for name, item in value.items():
            yield f'{part}.{name}', item
    elif isinstance(value, dict):
        yield part, value
        if part == 'adapter':
            yield from _holders('losses', value.get('losses'))


def _optimisers(prefix: str, wrapper: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """An optimiser and its wrapper, or those of each part of the adapter by name."""
    if 'optimizer' in wrapper:
        yield f'{prefix}optim_wrapper', wrapper
        yield f'{prefix}optimizer', wrapper['optimizer']
        return
    for name, inner in wrapper.items():
        if isinstance(inner, dict) and 'optimizer' in inner:
            yield from _optimisers(f'{name}.', inner)


def _known(place: Mapping[str, Any], files: tuple[Path, ...]) -> dict[str, Parameter]:
    """Parameters of an object: those of its class, and what its config states besides."""
    hidden = {'type', 'optimizer', 'constructor', 'paramwise_cfg', 'losses', 'loss_name'}
    found = parameters_of(str(place.get('type', '')), files)
    stated = {key: Parameter(value) for key, value in place.items() if key not in found}
    return {key: item for key, item in {**found, **stated}.items() if key not in hidden}


def meant(method: str, name: str, known: Sequence[Setting]) -> list[Setting]:
    """The settings that a name stands for: one thing, perhaps in several stages.

    Args:
        method: Name of the method, for messages.
        name: As typed.
        known: All its settings.

    Raises:
        UnknownNameError: There is no such setting.
        BenchError: The name means several things.
    """
    full = [s for s in known if name in (s.full, f'{s.stage}.{s.full}')]
    if full:
        return full
    found = [s for s in known if name in s.names]
    if not found:
        raise UnknownNameError(f'parameter of {method}', name, {s.full for s in known})
    meanings = {s.full: s for s in found}
    if len(meanings) > 1:
        stage = f'{found[0].stage}.' if name.startswith(f'{found[0].stage}.') else ''
        shown = _apart(name, meanings)
        listed = ', '.join(
            f'{stage}{spelled} (now {_shown(meanings[full])})' for full, spelled in shown.items()
        )
        raise BenchError(
            f'parameter {name!r} of {method} means several things',
            f'one of: {listed}',
            f"--method '{method}[{stage}{next(iter(shown.values()))}=...]'",
        )
    return found


def _apart(name: str, meanings: Mapping[str, Setting]) -> dict[str, str]:
    """A spelling of each meaning by full name: ``adapter.NAME`` where one is the adapter's."""
    spelled = f'adapter.{name}'
    own = [full for full, setting in meanings.items() if spelled in setting.plain]
    return {full: spelled if own == [full] else full for full in meanings}


def _shown(setting: Setting) -> str:
    value = setting.value
    return 'required' if value is REQUIRED else 'computed' if value is UNREADABLE else repr(value)


def check_prior(method: str, stages: Sequence[Mapping[str, Any]], sealed: bool) -> None:
    """Refuse a spatial prior in a method without source data, and beside soft labels.

    A prior is counted on the source's labels. Soft labels are made anew on the view, or stored at
    another size, where the prior of the file's pixels does not reach: thresholds with it would not
    fit labels without.

    Raises:
        BenchError: The method is sealed.
        UnknownNameError: With the settings that there are.
    """
    writers = [stage['writer'] for stage in stages if isinstance(stage.get('writer'), dict)]
    if sealed and any(writer.get('prior') is not None for writer in writers):
        raise BenchError(
            f'{method} with a spatial prior: it is counted on source labels, and {method} has none',
            'a method of track uda for it, such as cbst_uda',
            f'leave `prior` out of the settings of {method}',
        )
    soft = any(w.get('rule') == 'lrent' or w.get('type') == 'SoftLabelWriter' for w in writers)
    if soft and any(writer.get('prior') is not None for writer in writers):
        known = {setting.full for setting in settings_of([dict(stage) for stage in stages])}
        known -= {name for name in known if name.split('.')[-1] == 'prior'}
        raise UnknownNameError(f'parameter of {method} with soft labels', 'prior', known)


def check_stage(stage: Mapping[str, Any], where: str) -> None:
    """Refuse values that no run can mean, wherever a config or a user stated them.

    Args:
        stage: A stage, or a recipe of training on labels.
        where: For the message, e.g. ``stage adapt of tent``.

    Raises:
        BenchError: A value is out of range.
    """
    place_of = f' in {where}'
    for key in (*STAGE_FIELDS, 'data'):
        check_value(key, stage.get(key), key, where=place_of)
    for part in PARTS:
        for holder, place in _holders(part, stage.get(part)):
            kind = str(place.get('type', ''))
            for key, value in place.items():
                # an optimiser within its wrapper is an object of its own
                if key != 'optimizer':
                    check_value(key, value, f'{holder}.{key}', kind, place_of)
            check_together(place, f'{holder}{place_of}')
