"""Capsules: the row follows from the counts, and nothing in between can be changed unseen."""

import io
import json
import shlex
import zipfile

import numpy as np
import pytest

from sfda_bench.board import capsule as C
from sfda_bench.cli.scripts import capsule as capsule_main
from sfda_bench.errors import BenchError
from sfda_bench.plan.selectors import parse_method
from sfda_bench.store.record import counts_digest, load_records
from tests.board.factory import make_record


@pytest.fixture
def made(tmp_path):
    path = make_record(
        tmp_path / 'records', 'tent', seed=3, params={'lr': 0.5}, scoring='acdc19@1',
        task='cityscapes_to_acdc', conditions=['fog', 'night'] * 6,
    )  # fmt: skip
    config = tmp_path / 'runs' / '0123456789ab' / 'config.py'
    config.parent.mkdir(parents=True)
    config.write_text('stage = dict()\n')
    out = tmp_path / 'tent.zip'
    return path, out, C.make(path, out, tmp_path / 'runs')


def rewrite(path, change):
    """The archive again, after ``change(members)``."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(path, 'w') as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def reseal(members):
    """What a careful forger does: new sums for the altered members."""
    manifest = json.loads(members[C.MANIFEST])
    manifest['members'] = {n: C._sha256(d) for n, d in members.items() if n != C.MANIFEST}
    members[C.MANIFEST] = json.dumps(manifest).encode()


def test_a_capsule_verifies_to_its_record(made):
    path, out, capsule_id = made
    found = C.verify(out, capsule_id)
    ((_, record),) = load_records(path.parent)
    assert found.record == record and found.scores.miou == pytest.approx(record.scores.miou)
    assert found.interval[0] < found.scores.miou < found.interval[1]
    assert found.scores.per_condition == pytest.approx(record.scores.per_condition)


def test_it_holds_config_command_environment_and_protocols(made):
    with zipfile.ZipFile(made[1]) as archive:
        names = set(archive.namelist())
        manifest = json.loads(archive.read(C.MANIFEST))
    assert {C.RECORD, C.COUNTS, C.SCORING, C.INFERENCE} <= names
    assert 'configs/adapt_0123456789ab.py' in names
    assert manifest['command'] == (
        'python tools/run_suite.py --suite pocket --task cityscapes_to_acdc '
        "--network deeplabv2_pocket --method 'tent[lr=0.5]' --seed 3"
    )
    assert manifest['versions'] == {'torch': '2.13.0'}


def test_the_command_of_a_chain_is_one_word_of_a_shell(tmp_path):
    params = {'init': "tent[prior='a,b',lr=0.5]", 'iters': 3}
    _, record = load_records(make_record(tmp_path, 'cbst', params=params).parent)[0]
    words = shlex.split(C.command(record))
    typed = words[words.index('--method') + 1]
    assert parse_method(typed) == ('cbst', {'init': "tent[lr=0.5,prior='a,b']", 'iters': 3})


def test_the_same_entry_gives_the_same_capsule(made, tmp_path):
    path, out, capsule_id = made
    assert C.make(path, tmp_path / 'again.zip', tmp_path / 'runs') == capsule_id
    assert (tmp_path / 'again.zip').read_bytes() == out.read_bytes()


def better_counts(members):
    """Counts with some errors moved to the diagonal, resealed down to the record's own hash."""
    with np.load(io.BytesIO(members[C.COUNTS])) as data:
        arrays = {name: data[name] for name in data}
    arrays['counts'][:, 0, 0] += arrays['counts'][:, 0, 1]
    arrays['counts'][:, 0, 1] = 0
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    members[C.COUNTS] = buffer.getvalue()
    record = json.loads(members[C.RECORD])
    tags = arrays['conditions'].tolist()
    record['counts_sha256'] = counts_digest(arrays['counts'], arrays['ids'].tolist(), tags)
    members[C.RECORD] = json.dumps(record).encode()
    reseal(members)


def better_score(members):
    record = json.loads(members[C.RECORD])
    record['scores']['miou'] += 1
    members[C.RECORD] = json.dumps(record).encode()
    reseal(members)


def better_class(members):
    record = json.loads(members[C.RECORD])
    record['scores']['per_class']['car'] += 1
    members[C.RECORD] = json.dumps(record).encode()
    reseal(members)


def kinder_protocol(members):
    text = members[C.SCORING].decode().replace('convention: avg', 'convention: recomputed')
    members[C.SCORING] = text.encode()
    reseal(members)


def better_row(members):
    manifest = json.loads(members[C.MANIFEST])
    manifest['row']['miou'] += 1
    members[C.MANIFEST] = json.dumps(manifest).encode()


@pytest.mark.parametrize(
    'change, message',
    [
        (lambda m: m.update({C.RECORD: m[C.RECORD] + b' '}), 'record.json was altered'),
        (lambda m: m.pop('configs/adapt_0123456789ab.py'), 'do not match the manifest'),
        (lambda m: m.update(extra=b''), 'do not match the manifest'),
        (lambda m: m.pop(C.MANIFEST), 'no valid manifest'),
        (lambda m: (m.update({C.COUNTS: b'x'}), reseal(m)), 'cannot be read'),
        (lambda m: (m.update({C.RECORD: b'{}'}), reseal(m)), 'record is not valid'),
        (better_counts, 'is not what its counts give'),
        (better_score, 'is not what its counts give'),
        (better_class, 'car .* is not what its counts give'),
        (kinder_protocol, 'not the published one'),
        (better_row, 'is not what its counts give'),
    ],
)
def test_a_tampered_capsule_is_refused(made, change, message):
    rewrite(made[1], change)
    with pytest.raises(BenchError, match=message):
        C.verify(made[1])


def test_another_capsule_of_the_right_form_has_another_id(made, tmp_path):
    other = tmp_path / 'other.zip'
    C.make(make_record(tmp_path / 'others', 'tent', quality=0.7), other)
    assert C.verify(other).scores.miou > 40
    with pytest.raises(BenchError, match='its id is'):
        C.verify(other, made[2])


def test_the_command(made, tmp_path, capsys):
    path, out, _ = made
    assert capsule_main(['make', str(path), '--out', str(out)]) == 0
    assert capsule_main(['verify', str(out)]) == 0
    assert 'the row follows from its counts' in capsys.readouterr().out
    assert capsule_main(['verify', str(out), '--id', 'x']) == 1
    assert capsule_main(['verify', str(path)]) == 1
    assert 'cannot be read' in capsys.readouterr().err
