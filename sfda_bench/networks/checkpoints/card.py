"""The card of a converted checkpoint: what it is and where it came from."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field


class SourceScore(BaseModel):
    """A source-only score that somebody stated for this checkpoint, in percent."""

    model_config = ConfigDict(extra='forbid')
    task: str
    inference: str
    scoring: str
    miou: float = Field(ge=0, le=100)
    origin: str = ''
    tolerance: float = Field(default=1.0, gt=0)


class CheckpointCard(BaseModel):
    """Written beside a converted checkpoint as ``<name>.card.yaml``; unknown fields are refused.

    ``sha256`` is that of the converted file, ``original_sha256`` that of the file it was made from.
    ``branches`` is the answer to the question the keys leave open (DeepLabV2 heads only).
    """

    model_config = ConfigDict(extra='forbid')
    schema_version: Literal[1] = 1
    file: str
    sha256: str
    original_file: str
    original_sha256: str
    format: str
    network: str
    num_classes: int | None = None
    branches: int | None = None
    partial: bool = False
    dropped_keys: int = 0
    origin: str = 'unknown'
    recipe: str = 'unknown'
    trusted_pickle: bool = False
    source_only: list[SourceScore] = Field(default_factory=list)


def card_path(checkpoint: Path | str) -> Path:
    """Where the card of a checkpoint lies."""
    return Path(checkpoint).with_suffix('.card.yaml')


def card_text(card: CheckpointCard) -> str:
    """The card as YAML."""
    return yaml.safe_dump(card.model_dump(), sort_keys=False)
