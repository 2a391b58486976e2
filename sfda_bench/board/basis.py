"""Basis of each field of a reported number: how it is known, and where that can be read.

A printed number says little of how it was measured. Seven fields decide whether it can be compared;
each carries the strongest thing that speaks for its value, from a statement of its authors down to
the custom of the field, and the place where it stands.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

#: From the strongest to none. ``stated``: paper, README, log or an author's answer;
#: ``released_code``: the authors' evaluation code; ``code_line``: the code that theirs is built on;
#: ``convention``: what papers of that table do.
BASES = ('stated', 'released_code', 'code_line', 'convention', 'unknown')
Basis = Literal['stated', 'released_code', 'code_line', 'convention', 'unknown']
#: The fields of a reported row that must be known before it can be judged.
DECIDING = ('network', 'split', 'classes', 'scoring', 'inference', 'selection', 'setting')


class Evidence(BaseModel):
    """What speaks for the value of one field.

    ``sure`` is absent where nothing speaks against it; ``candidates`` are values that the evidence
    does not exclude.
    """

    model_config = ConfigDict(extra='forbid', frozen=True)

    basis: Basis
    sure: Literal['likely', 'open'] | None = None
    candidates: tuple[str | int, ...] = ()
    evidence: tuple[str, ...] = ()

    @model_validator(mode='after')
    def _known_with_evidence(self) -> Evidence:
        if self.basis != 'unknown' and not self.evidence:
            raise ValueError(f"basis '{self.basis}' without evidence")
        if self.basis == 'unknown' and self.sure is not None:
            raise ValueError("'sure' of an unknown value")
        return self


class Measured(BaseModel):
    """How one or more rows of a file were measured, field by field."""

    model_config = ConfigDict(extra='forbid', frozen=True)

    network: Evidence
    split: Evidence
    classes: Evidence
    scoring: Evidence
    inference: Evidence
    selection: Evidence
    setting: Evidence
    source_model: str | None = Field(default=None, min_length=1)
    note: str | None = Field(default=None, min_length=1)
    contradiction: str | None = Field(default=None, min_length=1)

    def fields(self) -> Iterator[tuple[str, Evidence]]:
        """(name, evidence) of the seven fields."""
        return ((name, getattr(self, name)) for name in DECIDING)

    @property
    def weakest(self) -> Basis:
        """The weakest basis among the seven fields."""
        return self.weakest_but()

    def weakest_but(self, *left_out: str) -> Basis:
        """The weakest basis among the seven fields but those named."""
        found = [item.basis for name, item in self.fields() if name not in left_out]
        return max(found, key=BASES.index)

    @property
    def sure(self) -> bool:
        """Whether no field is marked likely or open."""
        return all(item.sure is None for _, item in self.fields())
