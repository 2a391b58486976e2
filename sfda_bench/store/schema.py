"""The JSON schema of records, generated from their models."""

from __future__ import annotations

import json

from sfda_bench.store.record import Record

DIALECT = 'https://json-schema.org/draft/2020-12/schema'


def schema_text() -> str:
    """The schema of a record's JSON file, as text.

    It says what a field is, as the models do; that scores follow from counts, that names are known
    and that files fit together only ``make_leaderboard.py --validate`` can tell.
    """
    found = {'$schema': DIALECT, **Record.model_json_schema()}
    return json.dumps(found, indent=1, sort_keys=True) + '\n'
