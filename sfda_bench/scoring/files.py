"""Reading typed YAML files, with errors that name the file and the field."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from sfda_bench.errors import BenchError, UnknownNameError

Model = TypeVar('Model', bound=BaseModel)


def read_yaml(path: Path) -> object:
    """Parse one YAML file (safe loader)."""
    loader = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)
    try:
        return yaml.load(Path(path).read_text(encoding='utf-8'), Loader=loader)
    except yaml.YAMLError as error:
        raise BenchError(
            f'{path} is not YAML: {error}', 'a YAML mapping', f'edit {path}'
        ) from error


def parse(model: type[Model], data: object, origin: str) -> Model:
    """Validate ``data`` as ``model``.

    Raises:
        UnknownNameError: For an unknown field, with the nearest known ones.
        BenchError: For any other mismatch, naming ``origin`` and the field.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = '.'.join(str(part) for part in first['loc'])
        if first['type'] == 'extra_forbidden' and len(first['loc']) == 1:
            raise UnknownNameError(f'field of {origin}', where, model.model_fields) from None
        raise BenchError(
            f'{origin}: {where or "top level"}: {first["msg"]} (found {first["input"]!r})'[:600],
            f'a valid {model.__name__}',
            f'edit {origin}',
        ) from None
