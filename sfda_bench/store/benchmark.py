"""Records of benchmarks: ratios measured in one run, with machine, versions and commit."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from sfda_bench.errors import BenchError
from sfda_bench.store.record import Strict


class Ratio(Strict):
    """One ratio.

    ``what`` is compared; ``aim`` is what the project promises, ``None`` where it promises nothing;
    ``better`` says which way.
    """

    what: str
    value: float
    aim: float | None = None
    better: Literal['higher', 'lower'] = 'higher'

    @property
    def met(self) -> bool | None:
        """Whether the promise is kept; ``None`` without one."""
        if self.aim is None:
            return None
        return self.value >= self.aim if self.better == 'higher' else self.value <= self.aim


class BenchmarkRecord(Strict):
    """What one benchmark command found.

    ``load`` is the machine's average load at the beginning: above 0 it was not idle.
    """

    schema_version: Literal[1] = 1
    name: str
    title: str
    command: str
    ratios: list[Ratio]
    facts: dict[str, float] = Field(default_factory=dict)
    seconds: float
    load: float
    commit: str | None
    dirty: bool | None
    hardware: dict[str, Any]
    versions: dict[str, str]
    created: str


def load_benchmarks(folder: Path) -> list[BenchmarkRecord]:
    """All records of a folder, by name.

    Raises:
        BenchError: A file is no such record.
    """
    found = []
    for path in sorted(Path(folder).glob('*.json')):
        try:
            found.append(BenchmarkRecord.model_validate_json(path.read_text(encoding='utf-8')))
        except (ValidationError, ValueError) as error:
            raise BenchError(
                f'{path} is no record of a benchmark: {error}',
                'a file that `python tools/benchmark.py all` wrote',
                f'remove it and run that command again: rm {path}',
            ) from error
    return found
