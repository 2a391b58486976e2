"""A method's config: its card, its stages, and how profiles, tasks and users change them."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from mmengine.config import Config
from pydantic import Field, ValidationError

from sfda_bench.errors import BenchError, UnknownNameError
from sfda_bench.suite import catalog
from sfda_bench.suite.record import Fidelity, Setting, Strict, Track

SEALED_TRACKS = ('source-free', 'black-box', 'test-time')
#: Stage fields that a user may set by name, besides those of adapter and writer.
STAGE_FIELDS = ('iters', 'batch_size', 'crop_size', 'flip', 'rounds', 'order', 'init')


class Card(Strict):
    """What is known about a method.

    ``setting`` says how a method of track ``test-time`` meets the images; all others are offline.
    ``reported`` names the method under which its numbers are reported, if not itself;
    ``reported_label`` their label there, where others stand beside them.
    """

    name: str
    title: str
    track: Track
    setting: Setting = 'offline'
    fidelity: Fidelity
    summary: str = ''
    paper: str = ''
    arxiv: str = ''
    code: str = ''
    bibtex: str = ''
    deviations: list[str] = Field(default_factory=list)
    choices: list[str] = Field(default_factory=list)
    reported: str = ''
    reported_label: str = ''
    predict_on: Literal['student', 'teacher', 'source'] = 'student'


class Method:
    """A method as its config file describes it.

    Args:
        name: Name, or path of a config file outside the repository; such a file names its Python
            files in ``code_files``.
    """

    def __init__(self, name: str) -> None:
        config = catalog.load('methods', name)
        self.file: str = config['__file__']
        try:
            self.card = Card(**config['card'])
        except ValidationError as error:
            raise BenchError(f'{self.file}: the card is not valid\n{error}') from error
        self.name = self.card.name
        self._stages: list[dict[str, Any]] = config.get('stages', [])
        self._profiles: dict[str, dict[str, Any]] = config.get('profiles', {})
        self._skip: dict[str, str] = config.get('skip', {})
        self.code_files = [self._code_file(path) for path in config.get('code_files', [])]

    def _code_file(self, path: str) -> Path:
        """A Python file of a method outside the package, relative to its config."""
        found = (Path(self.file).parent / path).resolve()
        if not found.is_file():
            raise BenchError(f'{self.file} names the code file {path}', f'an existing {found}')
        return found

    def spec(self) -> dict[str, Any]:
        """``stages``, ``profiles`` and ``skip`` as the config has them (a copy)."""
        parts = {'stages': self._stages, 'profiles': self._profiles, 'skip': self._skip}
        return copy.deepcopy(parts)

    @property
    def sealed(self) -> bool:
        """Whether the method's stages must not read labels or source data."""
        return self.card.track in SEALED_TRACKS

    def skip_reason(self, task: str, network: str) -> str:
        """Why the method cannot run on a task or network; '' if it can."""
        return self._skip.get(task) or self._skip.get(network) or ''

    def stages(self, profile: str, task: str, params: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The stages for one task: base, then profile, then task overrides, then the user's.

        The keys of ``overrides`` are tasks or globs of them; all that fit are merged, in order.

        Raises:
            UnknownNameError: A parameter that no stage has.
            BenchError: A parameter of another type than its default, or an unknown profile.
        """
        chosen = self._profile(profile)
        stages = []
        for base in self._stages:
            stage = merge(base, chosen.get(base['name'], {}))
            overrides = stage.pop('overrides', {})
            for pattern, change in overrides.items():
                if fnmatchcase(task, pattern):
                    stage = merge(stage, change)
            # a profile may leave out a stage, such as a late round
            if stage.pop('enabled', True):
                stages.append(stage)
        for key, value in params.items():
            self._set(stages, key, value)
        return stages

    def _profile(self, profile: str) -> Mapping[str, Any]:
        if profile in self._profiles or not self._profiles:
            return self._profiles.get(profile, {})
        raise BenchError(
            f'method {self.name} has no profile {profile!r}',
            f'one of: {", ".join(sorted(self._profiles))}',
            f'add it to `profiles` in {self.file}',
        )

    def parameters(self, stages: list[dict[str, Any]]) -> dict[str, Any]:
        """All parameters a user may set, with their values."""
        return {name: holder[key] for name, holder, key in self._places(stages)}

    def _places(self, stages: list[dict]) -> Iterator[tuple[str, dict, str]]:
        for stage in stages:
            places = [(stage, key) for key in STAGE_FIELDS if key in stage]
            adapter = stage.get('adapter', {})
            places += [(adapter, key) for key in adapter if key != 'type']
            writer = stage.get('writer', {})
            places += [(writer, key) for key in writer if key != 'type']
            optimizer = stage.get('optim_wrapper', {}).get('optimizer', {})
            places += [(optimizer, key) for key in optimizer if key != 'type']
            for holder, key in places:
                yield (key, holder, key)
                yield (f'{stage["name"]}.{key}', holder, key)

    def _set(self, stages: list[dict], name: str, value: Any) -> None:
        places = [(holder, key) for n, holder, key in self._places(stages) if n == name]
        if not places:
            raise UnknownNameError(f'parameter of {self.name}', name, self.parameters(stages))
        for holder, key in places:
            holder[key] = checked(name, value, holder[key])


def checked(name: str, value: Any, default: Any) -> Any:
    """``value`` if it has the type of ``default`` (an int passes for a float, any for ``None``).

    Raises:
        BenchError: It has not.
    """
    if default is None or value is None:
        return value
    if isinstance(default, float) and type(value) is int:
        return float(value)
    if isinstance(default, (list, tuple)) and isinstance(value, (list, tuple)):
        return list(value)
    if type(value) is not type(default):
        raise BenchError(
            f'parameter {name} = {value!r} is a {type(value).__name__}',
            f'a {type(default).__name__}, such as its default {default!r}',
        )
    return value


def merge(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with ``change`` merged in as mmengine merges configs (``_delete_`` replaces)."""
    merged = Config._merge_a_into_b(copy.deepcopy(dict(change)), copy.deepcopy(dict(base)))
    return dict(merged)
