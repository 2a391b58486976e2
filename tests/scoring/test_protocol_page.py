"""The page on protocols names every field with its default."""

import json
import re

import pytest
from pydantic_core import PydanticUndefined

from sfda_bench.scoring.protocols import (
    InferenceProtocol,
    Protocol,
    Resize,
    ScoringProtocol,
    Window,
)
from tests.documents import ROOT

PAGE = (ROOT / 'docs' / 'add_protocol.md').read_text()
ROW = re.compile(r'^\| `(?P<field>\w+)` \| (?P<default>.+?) \| (?P<meaning>.+) \|$', re.M)


def shown(model):
    """(name, default) of a model's fields as the page writes them: YAML values in code."""
    for name, field in model.model_fields.items():
        value = field.get_default(call_default_factory=True)
        if value is PydanticUndefined:
            yield name, 'required'
        else:
            text = "''" if value == '' else value if isinstance(value, str) else json.dumps(value)
            yield name, f'`{text}`'


@pytest.mark.parametrize(
    ('model', 'opening'),
    [
        (InferenceProtocol, 'Of an inference protocol.'),
        (Resize, 'Of `resize`:'),
        (Window, 'Of `window`:'),
        (ScoringProtocol, 'Of a scoring protocol,'),
    ],
)
def test_the_page_has_every_field_and_default(model, opening):
    table = PAGE.split(opening, 1)[1].split('\n\n')[1]
    found = [(m['field'], m['default']) for m in ROW.finditer(table)]
    expected = dict(shown(model))
    if model is ScoringProtocol:
        expected = {k: v for k, v in expected.items() if k not in Protocol.model_fields}
    assert found == list(expected.items())


def test_choices_that_the_page_names_are_those_of_the_model():
    """Each word in code of a field with a closed list of values is one of them, and none lacks."""
    for model in (InferenceProtocol, ScoringProtocol, Resize):
        schema = model.model_json_schema()['properties']
        for match in ROW.finditer(PAGE):
            name = match['field']
            choices = schema.get(name, {}).get('enum')
            if choices and name not in ('antialias',):
                words = set(re.findall(r'`(\w+)`', f'{match["default"]} {match["meaning"]}'))
                assert {str(choice) for choice in choices} <= words, name
