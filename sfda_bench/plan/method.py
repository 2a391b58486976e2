"""A method's config: its card, its stages, and how profiles, tasks and users change them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from sfda_bench.errors import BenchError, require_known
from sfda_bench.plan import catalog, execution
from sfda_bench.plan.changes import apply
from sfda_bench.plan.rounds import ROUNDS, Rounds, merge
from sfda_bench.plan.selectors import INIT, MethodSelector, parse_method
from sfda_bench.plan.settings import check_prior, check_stage, settings_of
from sfda_bench.store.record import Fidelity, Setting, Strict, Track

SEALED_TRACKS = ('source-free', 'black-box', 'test-time')
#: What the ``needs`` of a method and the ``lacks`` of a network may name, and how messages call it.
NEEDS = {'batch_norm': 'batch-norm statistics'}
#: What ``init`` of a stage may say beside the name of another stage.
STARTS = ('last', 'scratch', 'initial', 'source')


Mechanism = Literal[
    'statistics', 'entropy', 'pseudo-labels', 'mean teacher', 'contrast', 'adversarial'
]


class Card(Strict):
    """What is known about a method.

    ``fidelity``: see :data:`~sfda_bench.store.record.Fidelity`.
    ``mechanisms`` are the kinds of things that the method is made of, the main one first.
    ``setting`` says how a method of track ``test-time`` meets the images; all others are offline.
    ``reported`` names the method under which its numbers are reported, if not itself;
    ``reported_label`` their label there, where others stand beside them.
    """

    name: str
    title: str
    track: Track
    mechanisms: list[Mechanism] = Field(default_factory=list)
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
        self._rounds = Rounds(config.get('rounds', {}), self.file)
        self._stages: list[dict[str, Any]] = [*config.get('stages', []), *self._rounds.stages()]
        self._profiles: dict[str, dict[str, Any]] = {
            name: self._rounds.profile(changes)
            for name, changes in config.get('profiles', {}).items()
        }
        self._skip: dict[str, str] = config.get('skip', {})
        self._needs = [require_known('need', n, NEEDS) for n in config.get('needs', [])]
        self._presets: dict[str, dict[str, dict[str, Any]]] = config.get('presets', {})
        self._aliases: dict[str, str] = config.get('aliases', {})
        self._networks: dict[str, list[str]] = config.get('networks', {})
        self.code_files = [self._code_file(path) for path in config.get('code_files', [])]

    def _code_file(self, path: str) -> Path:
        """A Python file of a method outside the package, relative to its config."""
        found = (Path(self.file).parent / path).resolve()
        if not found.is_file():
            raise BenchError(f'{self.file} names the code file {path}', f'an existing {found}')
        return found

    def spec(self) -> dict[str, Any]:
        """``stages``, ``profiles`` and ``skip`` of the config, its rounds among them (a copy)."""
        parts = {'stages': self._stages, 'profiles': self._profiles, 'skip': self._skip}
        return copy.deepcopy(parts)

    @property
    def sealed(self) -> bool:
        """Whether the method's stages must not read labels or source data."""
        return self.card.track in SEALED_TRACKS

    def networks(self, profile: str) -> list[str]:
        """Networks that the method is run on in a profile; empty: those of the suite."""
        return list(self._networks.get(profile, []))

    def skip_reason(self, task: str, network: str) -> str:
        """Why the method cannot run on a task or network; '' if it can.

        Args:
            task: Name of the task.
            network: Name of the network, or the path of its config; nothing is known of others.
        """
        own = self._skip.get(task) or self._skip.get(network)
        if own or not self._needs:
            return own or ''
        if not (network.endswith('.py') or network in catalog.names('networks')):
            return ''
        block = catalog.load('networks', network)['network']
        lacks = [require_known('part', n, NEEDS) for n in block.get('lacks', [])]
        missing = ' and '.join(NEEDS[name] for name in self._needs if name in lacks)
        return f'moves {missing}, which {block["name"]} does not have' if missing else ''

    @property
    def starts(self) -> list[str]:
        """Values of ``init`` that are a setting of the method's own stages, and no other method."""
        return [*STARTS, *(stage['name'] for stage in self._stages)]

    def started_from(self, params: Mapping[str, Any]) -> MethodSelector | None:
        """The method whose result the user has this one start from; ``None``: the source model."""
        value = params.get(INIT)
        if not isinstance(value, str) or value in self.starts:
            return None
        return parse_method(value)

    def own(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Those of the user's settings that are of this method's stages."""
        other = self.started_from(params) is not None
        return {key: value for key, value in params.items() if not (other and key == INIT)}

    def stages(
        self, profile: str, task: str, params: Mapping[str, Any], network: str = ''
    ) -> list[dict[str, Any]]:
        """The stages for one task and network: base, profile, overrides, then the user's.

        Those of a method that this one is started from (:mod:`~sfda_bench.plan.composition`) are
        not among them.

        The keys of ``overrides`` are tasks, networks, or globs of them; all that fit are merged, in
        order.

        Raises:
            UnknownNameError: A parameter that no stage has.
            BenchError: A parameter whose name means several things, a value of another type or out
                of range, two values for one setting, or an unknown profile or preset.
        """
        chosen = self._profile(profile)
        _, params = execution.split(self.own(params))
        rounds = self._rounds.chosen(params.pop(ROUNDS)) if self._counted(params) else {}
        stages = []
        for base in self._stages:
            stage = merge(base, chosen.get(base['name'], {}))
            overrides = stage.pop('overrides', {})
            for pattern, change in overrides.items():
                if fnmatchcase(task, pattern) or fnmatchcase(network, pattern):
                    stage = merge(stage, change)
            # a profile may leave out a stage, such as a late round
            enabled = stage.pop('enabled', True)
            if rounds.get(base['name'], enabled):
                stages.append(stage)
        apply(self.name, stages, self._spelled(params), self.code_files, self._presets)
        for stage in stages:
            check_stage(stage, f'stage {stage["name"]} of {self.name}')
        check_prior(self.name, stages, self.sealed)
        return stages

    def _counted(self, params: Mapping[str, Any]) -> bool:
        """Whether a user says how many rounds there are."""
        return bool(self._rounds.count) and ROUNDS in params

    def spelled(self, name: str) -> str:
        """A setting's name as the stages know it: the config's ``aliases`` are other names."""
        stage, _, rest = name.partition('.')
        known = any(stage == each['name'] for each in self._stages)
        before, rest = (f'{stage}.', rest) if known else ('', name)
        return before + self._aliases.get(rest.removeprefix('adapter.'), rest)

    def _spelled(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Settings without aliases."""
        found: dict[str, Any] = {}
        for name, value in params.items():
            full = self.spelled(name)
            if full in found and found[full] != value:
                raise BenchError(
                    f'{name}={value} and {full}={found[full]} of {self.name} are one setting',
                    'one value for a setting',
                    'leave one of them out',
                )
            found[full] = value
        return found

    def _profile(self, profile: str) -> Mapping[str, Any]:
        if profile in self._profiles or not self._profiles:
            return self._profiles.get(profile, {})
        raise BenchError(
            f'method {self.name} has no profile {profile!r}',
            f'one of: {", ".join(sorted(self._profiles))}',
            f'add it to `profiles` in {self.file}',
        )

    def parameters(self, stages: list[dict[str, Any]]) -> dict[str, Any]:
        """All settings of its stages by full name, with the stage in front, and their values."""
        found = settings_of(stages, self.code_files)
        return {f'{setting.stage}.{setting.full}': setting.value for setting in found}
