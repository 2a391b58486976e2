"""The JSON schema of records says what their models say."""

import copy
import json

import pytest
from pydantic import ValidationError

from sfda_bench.paths import RESULTS
from sfda_bench.store.record import Record, record_paths
from sfda_bench.store.schema import DIALECT, schema_text

EVERY = record_paths(RESULTS / 'records') + record_paths(RESULTS / 'community')
#: Where, and what the schema and the models must refuse there.
WRONG = [
    (('miou',), 3, 'unknown field'),
    (('track',), 'free', 'track'),
    (('entry', 'seed'), 'first', 'seed'),
    (('schema_version',), 2, 'version'),
    (('scores', 'miou'), 'high', 'score'),
    (('stages',), [{'name': 'a', 'kind': 'No Kind', 'id': 'x'}], 'kind'),
]


@pytest.fixture(scope='module')
def validator():
    jsonschema = pytest.importorskip('jsonschema')
    schema = json.loads(schema_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_the_committed_schema_is_that_of_the_models():
    text = (RESULTS / 'record.schema.json').read_text(encoding='utf-8')
    assert text == schema_text()
    schema = json.loads(text)
    assert schema['$schema'] == DIALECT and schema['additionalProperties'] is False
    assert set(schema['properties']) == set(Record.model_fields)


def test_every_committed_record_is_valid(validator):
    assert len(EVERY) > 300
    for path in EVERY:
        data = json.loads(path.read_text(encoding='utf-8'))
        assert list(validator.iter_errors(data)) == [], path
        Record.model_validate_json(json.dumps(data))


@pytest.mark.parametrize('where, value, name', WRONG, ids=[name for *_, name in WRONG])
def test_what_one_refuses_the_other_does_too(validator, where, value, name):
    data = copy.deepcopy(json.loads(EVERY[0].read_text(encoding='utf-8')))
    place = data
    for key in where[:-1]:
        place = place[key]
    place[where[-1]] = value
    assert list(validator.iter_errors(data))
    with pytest.raises(ValidationError):
        Record.model_validate_json(json.dumps(data))
