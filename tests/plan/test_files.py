"""Files given as parameters: content decides the id, wherever the file lies."""

from __future__ import annotations

import pytest

from sfda_bench.errors import BenchError
from sfda_bench.plan import files


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


def test_lists_of_data_sets_count_by_content_too(tmp_path):
    listed = tmp_path / 'keep.txt'
    ids = set()
    for names in ('a\nb\n', 'a\n'):
        listed.write_text(names)
        config = {'train_dataloader': {'dataset': {'dataset': {'sample_list': str(listed)}}}}
        given, found = files.symbolic(config)
        ids.add(given['train_dataloader']['dataset']['dataset']['sample_list'])
        assert list(found.values()) == [str(listed)]
    assert len(ids) == 2


def test_a_file_needs_no_suffix_but_a_word_is_no_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ('prior', 'eval'):
        (tmp_path / name).write_text('x')
    config = {'model': {'prior': './prior', 'norm_mode': 'eval'}}
    given, found = files.symbolic(config)
    assert given['model']['prior'].startswith('file://') and given['model']['norm_mode'] == 'eval'
    assert list(found.values()) == [str(tmp_path / 'prior')]


def test_a_folder_has_no_identity(tmp_path):
    with pytest.raises(BenchError, match='is a folder'):
        files.symbolic({'model': {'prior': str(tmp_path)}})
    root = {'test_dataloader': {'dataset': {'data_root': str(tmp_path)}}}
    assert files.symbolic(root) == (root, {}), 'data sets have fingerprints of their own'


def test_what_a_sealed_stage_names_it_may_read(bench, tmp_path):
    own = tmp_path / 'thresholds'
    own.write_text('{}')
    plan = bench.plan(f'cbst[label1.thresholds={own}]')
    named = [s for s in plan.stages.values() if str(own) in str(s.config.get('test_evaluator'))]
    assert [s.config['stage']['sealed'] for s in named] == [True]
    assert all(str(own) in s.config['stage']['grants'] for s in named)
