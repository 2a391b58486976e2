"""Capsules: one archive with everything that stands behind a row, and its verification offline.

A capsule holds the record, its confusion counts, the protocols and the resolved configs of the
stages that are still in the store, with a manifest of SHA-256 sums. Verification recomputes the row
from the counts and refuses an archive in which anything does not fit. It proves that the row
follows from the counts; that the counts follow from a model, only a run can prove.
"""

from __future__ import annotations

import hashlib
import io
import json
import shlex
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from pydantic import ValidationError

from sfda_bench.atomic import write_bytes
from sfda_bench.board.loading import TOLERANCE, load_item, require_counts
from sfda_bench.errors import BenchError
from sfda_bench.plan.selectors import method_text
from sfda_bench.reading import DAMAGE, first_line, looks_like, read_bytes
from sfda_bench.scoring.files import parse
from sfda_bench.scoring.protocols import (
    PROTOCOLS,
    ScoringProtocol,
    load_inference,
    load_scoring,
    split_ref,
)
from sfda_bench.scoring.scores import ProtocolScores, parts, score
from sfda_bench.scoring.statistics import Parts, image_interval
from sfda_bench.store.record import Record, counts_digest

MANIFEST = 'manifest.json'
RECORD, COUNTS = 'record.json', 'counts.npz'
SCORING, INFERENCE = 'protocols/scoring.yaml', 'protocols/inference.yaml'
FORMAT = 1


@dataclass(frozen=True)
class Verified:
    """A capsule whose row was recomputed: scores and 95 % image interval."""

    record: Record
    scores: ProtocolScores
    interval: tuple[float, float]
    id: str


def command(record: Record) -> str:
    """The command that makes the entry again."""
    entry = record.entry
    method = shlex.quote(method_text(entry.method, entry.params))
    return (
        f'python tools/run_suite.py --suite {entry.suite} --task {entry.task} '
        f'--network {entry.network} --method {method} --seed {entry.seed}'
    )


def make(record_path: Path, out: Path, runs: Path | None = None) -> str:
    """Write the capsule of a record; returns its id (the SHA-256 of its manifest).

    Args:
        record_path: The record's JSON file, its counts beside it.
        out: The zip file; one that is there stands until the new one is complete.
        runs: The store, for the resolved configs of the record's stages.

    Raises:
        BenchError: The record or its counts are damaged or not there, or ``out`` is one of them.
    """
    item = load_item(record_path)
    require_counts(item)
    record = item.record
    if Path(out).resolve() in {
        Path(record_path).resolve(),
        (Path(record_path).parent / record.counts_file).resolve(),
    }:
        raise BenchError(f'{out} would overwrite the record', 'another --out', '--out NAME.zip')
    members: dict[str, bytes] = {
        RECORD: Path(record_path).read_bytes(),
        COUNTS: (Path(record_path).parent / record.counts_file).read_bytes(),
        SCORING: _protocol_bytes('scoring', record.scoring_protocol),
        INFERENCE: _protocol_bytes('inference', record.inference_protocol),
    }
    for stage in record.stages:
        config = Path(runs or '') / stage.id / 'config.py'
        if runs is not None and config.is_file():
            members[f'configs/{stage.name}_{stage.id}.py'] = config.read_bytes()
    manifest = {
        'format': FORMAT,
        'command': command(record),
        'commit': record.code.commit,
        'versions': record.versions,
        'hardware': record.hardware,
        'row': _row(item.scores),
        'members': {name: _sha256(data) for name, data in sorted(members.items())},
    }
    members[MANIFEST] = json.dumps(manifest, indent=1, sort_keys=True).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w', zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted(members.items()):
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    write_bytes(Path(out), buffer.getvalue())
    return _sha256(members[MANIFEST])


def _protocol_bytes(kind: str, ref: str) -> bytes:
    # Loading checks that the file holds the version the record was made under.
    load = load_scoring if kind == 'scoring' else load_inference
    load(ref)
    return (PROTOCOLS / kind / f'{split_ref(ref)[0]}.yaml').read_bytes()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _row(scores: ProtocolScores) -> dict[str, Any]:
    return {**scores.record_fields(), 'protocol': scores.protocol}


def verify(path: Path, expected_id: str | None = None) -> Verified:
    """Recompute the row of a capsule, offline, from nothing but the capsule.

    Raises:
        BenchError: Anything is missing, altered or inconsistent.
    """
    members = _read(Path(path))
    manifest = _manifest(members, path)
    found_id = _sha256(members[MANIFEST])
    if expected_id not in (None, found_id):
        raise _refuse(path, f'its id is {found_id}', f'id {expected_id}')
    _check_members(members, manifest, path)
    try:
        record = Record.model_validate_json(members[RECORD])
    except ValidationError as error:
        raise _refuse(path, f'its record is not valid: {first_line(error)}', 'schema 1') from None
    counts, ids, conditions = _counts(members[COUNTS], path)
    if counts_digest(counts, ids, conditions) != record.counts_sha256:
        raise _refuse(path, 'its counts are not those of its record', record.counts_sha256)
    try:
        told = yaml.safe_load(members[SCORING])
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _refuse(path, f'{SCORING}: {first_line(error)}', 'a scoring protocol') from None
    protocol = parse(ScoringProtocol, told, f'{path}:{SCORING}')
    _check_protocol(protocol, record, path)
    scores = score(counts, conditions, protocol)
    _compare(record.scores.model_dump(), scores.record_fields(), path)
    _compare(manifest['row'], _row(scores), path)
    interval = image_interval(Parts(*parts(counts, protocol)))
    return Verified(record, scores, interval, found_id)


def _refuse(path: Path, found: str, expected: str) -> BenchError:
    return BenchError(
        f'{path} is refused: {found}', expected, 'ask for the original capsule, or run its command'
    )


def _read(path: Path) -> dict[str, bytes]:
    data = read_bytes(path, 'a capsule (zip)', 'python tools/capsule.py make RECORD --out FILE.zip')
    other = looks_like(data)
    try:
        if other:
            raise zipfile.BadZipFile(other)
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return {name: archive.read(name) for name in archive.namelist()}
    except DAMAGE as error:
        raise BenchError(
            f'{path} cannot be read: {first_line(error)}',
            'a capsule (zip), whole',
            'fetch it again, or ask for the original capsule',
        ) from None


def _manifest(members: Mapping[str, bytes], path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(members[MANIFEST])
        if manifest['format'] == FORMAT and isinstance(manifest['members'], dict):
            return manifest
    except (KeyError, TypeError, ValueError):
        pass
    raise _refuse(path, f'it has no valid {MANIFEST}', f'a manifest of format {FORMAT}')


def _check_members(members: Mapping[str, bytes], manifest: Mapping[str, Any], path: Path) -> None:
    told = manifest['members']
    have = set(members) - {MANIFEST}
    needed = {RECORD, COUNTS, SCORING, INFERENCE}
    if have != set(told) or not needed <= have:
        odd = sorted((have ^ set(told)) | (needed - have))
        raise _refuse(path, f'members do not match the manifest: {", ".join(odd)}', 'all of them')
    for name, digest in told.items():
        if _sha256(members[name]) != digest:
            raise _refuse(path, f'{name} was altered', f'sha-256 {digest}')


def _counts(data: bytes, path: Path) -> tuple[np.ndarray, list[str], list[str]]:
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as found:
            return found['counts'], found['ids'].tolist(), found['conditions'].tolist()
    except (OSError, *DAMAGE) as error:
        why = f'{COUNTS} cannot be read: {first_line(error)}'
        raise _refuse(path, why, 'counts, ids, conditions') from None


def _check_protocol(protocol: ScoringProtocol, record: Record, path: Path) -> None:
    if protocol.ref != record.scoring_protocol:
        raise _refuse(path, f'it is scored by {protocol.ref}', record.scoring_protocol)
    frozen = yaml.safe_load((PROTOCOLS / 'frozen.yaml').read_text(encoding='utf-8')).get(
        f'scoring/{protocol.ref}'
    )
    if frozen not in (None, protocol.digest):
        raise _refuse(path, f'its protocol {protocol.ref} is not the published one', frozen)


def _compare(told: Mapping[str, Any], found: Mapping[str, Any], path: Path) -> None:
    """Refuse unless two sets of scores agree, key by key."""
    for key, value in found.items():
        if isinstance(value, dict):
            if set(told.get(key, {})) != set(value):
                raise _refuse(path, f'{key} lists other names', ', '.join(sorted(value)))
            _compare(told[key], value, path)
        elif isinstance(value, float) and isinstance(told.get(key), (int, float)):
            if abs(told[key] - value) > TOLERANCE:
                raise _refuse(path, f'{key} {told[key]} is not what its counts give', f'{value}')
        elif told.get(key) != value:
            raise _refuse(path, f'{key} {told.get(key)!r} is not what its counts give', f'{value}')
