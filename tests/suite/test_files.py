"""Files given as parameters: content decides the id, wherever the file lies."""

from __future__ import annotations

from sfda_bench.suite import files


def test_content_stands_for_the_path(tmp_path, monkeypatch):
    (tmp_path / 'a').mkdir()
    first, second = tmp_path / 'prior.npy', tmp_path / 'a' / 'other.npy'
    first.write_bytes(b'prior')
    second.write_bytes(b'prior')
    config = {'test_evaluator': {'prior': str(first), 'out_file': str(first), 'n': 3}, 'stage': {}}
    given, found = files.symbolic(config)
    assert given['test_evaluator']['prior'].startswith('file://')
    assert given['test_evaluator']['out_file'] == str(first), 'set by the harness'
    assert files.symbolic({'model': {'prior': str(second)}})[0]['model']['prior'] in found
    monkeypatch.chdir(tmp_path)
    relative, places = files.symbolic({'model': [{'prior': 'prior.npy'}]})
    assert relative['model'][0]['prior'] in found
    assert files.concrete(relative, places)['model'][0]['prior'] == str(first)
    second.write_bytes(b'another')
    assert files.symbolic({'model': {'prior': str(second)}})[0]['model']['prior'] not in found


def test_what_is_no_file_stays(tmp_path):
    config = {'model': {'type': 'A.B', 'labels': 'stage://label/artifacts/x.txt', 'sizes': (1, 2)}}
    assert files.symbolic(config) == (config, {})


def test_another_prior_is_another_stage(bench, tmp_path):
    prior = tmp_path / 'prior.npy'
    ids = []
    for content in (b'one', b'two', b'one'):
        prior.write_bytes(content)
        entry = bench.plan(f'cbst_uda[label1.prior={prior}]').entries[0]
        ids.append(entry.stages)
    assert ids[0] == ids[2] != ids[1]
    assert ids[0][0] == ids[1][0], 'the source model does not know of it'
