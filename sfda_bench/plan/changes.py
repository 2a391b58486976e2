"""What a user changes of a method's settings, by name or by preset, and what contradicts itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sfda_bench.errors import BenchError, UnknownNameError
from sfda_bench.plan.rules import check_value, converted
from sfda_bench.plan.settings import Setting, meant, settings_of

#: Settings by full name, by value, by name of a preset.
Presets = Mapping[str, Mapping[Any, Mapping[str, Any]]]


@dataclass(frozen=True)
class Change:
    """A setting with the value that was typed for it, or that a preset implies.

    Attributes:
        setting: What is changed.
        value: To what, as its parameter wants it.
        name: As typed; of a preset the full name.
        preset: ``name=value`` of the preset; '' for what was typed.
    """

    setting: Setting
    value: Any
    name: str
    preset: str = ''

    @property
    def one_stage(self) -> bool:
        """Whether the stage is named."""
        return self.name not in self.setting.plain

    @property
    def shown(self) -> str:
        """As a user would type it."""
        return f'{self.name}={self.value}'


def apply(
    method: str,
    stages: list[dict[str, Any]],
    params: Mapping[str, Any],
    files: Iterable[Path] = (),
    presets: Presets | None = None,
) -> None:
    """Change settings in place; one that names its stage goes before one for all stages.

    Args:
        method: Its name, for messages.
        stages: Resolved stages.
        params: Values by the names that the user typed.
        files: Files of a method outside the package.
        presets: What the method's presets stand for: settings by full name, by value, by name.

    Raises:
        UnknownNameError: No stage has such a setting.
        BenchError: The name means several things, the value is of another type or out of range, two
            values are given for one setting, or a preset has no such value.
    """
    known = settings_of(stages, files)
    changes: list[Change] = []
    for name, value in params.items():
        if presets and name in presets:
            changes += _implied(method, name, value, presets[name], known)
        else:
            changes += _typed(method, name, value, known)
    for change in _settled(method, changes):
        change.setting.place[change.setting.key] = change.value


def _typed(
    method: str, name: str, value: Any, known: Sequence[Setting], preset: str = ''
) -> list[Change]:
    return [
        Change(setting, _checked(name, value, setting), name, preset)
        for setting in meant(method, name, known)
    ]


def _implied(
    method: str, name: str, value: Any, preset: Mapping[Any, Mapping[str, Any]],
    known: Sequence[Setting],
) -> list[Change]:  # fmt: skip
    """What a preset stands for."""
    chosen = 'none' if value is None else value
    if not isinstance(chosen, str) or chosen not in preset:
        error = UnknownNameError(f'{name} of {method}', chosen, preset)
        full = dict.fromkeys(full for implied in preset.values() for full in implied)
        example = ','.join(f'{each}=...' for each in full)
        other = f"anything else by what it stands for: --method '{method}[{example}]'"
        raise error if error.fix else BenchError(error.found, error.expected, other)
    return [
        change
        for full, implied in preset[chosen].items()
        for change in _typed(method, full, implied, known, f'{name}={chosen}')
    ]


def _settled(method: str, changes: Iterable[Change]) -> list[Change]:
    """One change a setting: those that name their stage last.

    Raises:
        BenchError: Two contradict each other.
    """
    found: dict[tuple[str, str], Change] = {}
    for change in sorted(changes, key=lambda c: c.one_stage):
        place = (change.setting.stage, change.setting.full)
        before = found.get(place)
        alike = before is None or before.value == change.value
        if before is not None and not alike and _same_rank(before, change):
            raise _contradiction(method, before, change)
        found[place] = change
    return list(found.values())


def _same_rank(first: Change, second: Change) -> bool:
    """Whether neither may override the other: a preset says what runs in every stage."""
    return bool(first.preset or second.preset) or first.one_stage == second.one_stage


def _contradiction(method: str, first: Change, second: Change) -> BenchError:
    setting = first.setting
    if not first.preset and not second.preset:
        return BenchError(
            f'{first.shown} and {second.shown} of {method} are both {setting.full} '
            f'of stage {setting.stage}',
            'one value for a setting',
            'leave one of them out',
        )
    preset, other = (first, second) if first.preset else (second, first)
    name = preset.preset.partition('=')[0]
    return BenchError(
        f'{preset.preset} of {method} sets {preset.shown}, and '
        f'{other.preset or other.shown} was given beside it',
        f'{name} alone, or {setting.full} and its like without {name}',
        f"--method '{method}[{other.shown}]'",
    )


def _checked(name: str, value: Any, setting: Setting) -> Any:
    value = converted(name, value, setting.parameter.types, setting.value)
    check_value(setting.key, value, name, setting.kind)
    return value
