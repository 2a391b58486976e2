"""Stages that make files for later stages: references, identity, grants, pairs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from sfda_bench.errors import BenchError, UnknownNameError
from sfda_bench.plan.references import references, resolve

CODE = """
import json
from pathlib import Path
import numpy as np
from mmengine.evaluator import BaseMetric
from PIL import Image
from torch.nn.functional import cross_entropy
from sfda_bench.adapt.adapter import Adapter
from sfda_bench.registry import METRICS, MODELS

@METRICS.register_module()
class ToyWriter(BaseMetric):
    def __init__(self, out_dir, **kwargs):
        super().__init__(**kwargs)
        self.out_dir = Path(out_dir)

    def process(self, data_batch, data_samples):
        for sample in data_samples:
            labels = sample['pred_sem_seg']['data'].squeeze(0).numpy().astype(np.uint8)
            path = self.out_dir / 'labels' / (sample['sample_id'] + '.png')
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(labels).save(path)
            self.results.append(sample['sample_id'])

    def compute_metrics(self, results):
        names = sorted(results)
        (self.out_dir / 'easy.txt').write_text('\\n'.join(names[:3]))
        (self.out_dir / 'hard.txt').write_text('\\n'.join(names[3:]))
        return {'labelled': len(names)}

@MODELS.register_module()
class ToySelfTraining(Adapter):
    def losses(self, views):
        views = dict(views)
        name = 'easy' if 'easy' in views else 'image'
        assert views[name].shape[1] == 3 and views[name + '_label'].dtype.is_floating_point is False
        if name == 'easy':
            assert set(views) == {'easy', 'easy_label', 'hard'}
            assert abs(float(views['hard'].mean())) < 5
        logits = self.logits(views[name], views[name].shape[-2:])
        return {'loss_ce': cross_entropy(logits, views[name + '_label'], ignore_index=255)}
"""
CONFIG = """
card = dict(name='toy', title='Toy', track='{track}', fidelity='paper')
code_files = ['toy_code.py']
optim = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=1e-3))
common = dict(adapter=dict(type='ToySelfTraining'), iters=2, batch_size=2, optim_wrapper=optim)
labels = 'stage://label/artifacts/labels'
stages = [
    dict(name='label', kind='label', writer=dict(type='ToyWriter')),
    dict(name='train', init='source', data=dict(type='target', labels=labels), **common),
    dict(
        name='pair', **common,
        data=dict(pair=dict(
            easy=dict(type='target', labels=labels, sample_list='stage://label/artifacts/easy.txt'),
            hard=dict(type='target', sample_list='stage://label/artifacts/hard.txt'),
        )),
    ),
]
"""


@pytest.fixture
def toy(bench) -> str:
    (bench.folder / 'toy_code.py').write_text(CODE)
    path = bench.folder / 'toy.py'
    path.write_text(CONFIG.replace('{track}', 'source-free'))
    return str(path)


def test_a_labelling_stage_feeds_later_ones_inside_the_guard(bench, toy):
    plan = bench.plan(toy)
    summary = bench.run(plan)
    assert summary.failures == []
    source, label, train, pair, _ = plan.entries[0].stages
    assert plan.stages[train].parents == [source, label]
    assert plan.stages[pair].parents == [train, label]
    folder = bench.store.path(label)
    listed = json.loads((folder / 'artifacts.json').read_text())
    assert sum(name.endswith('.png') for name in listed) == 6
    first, second = (
        torch.load(bench.store.path(i) / 'final.pth')['state_dict'] for i in (source, train)
    )
    assert any(not torch.equal(first[key], second[key]) for key in first)


def test_the_same_labels_are_shared_by_id_and_paths_do_not_count(bench, toy):
    first = bench.plan(toy).entries[0].stages
    other = Path(toy).with_name('toy2.py')
    other.write_text(
        Path(toy).read_text().replace("name='toy'", "name='toy2'").replace('1e-3', '2e-3')
    )
    second = bench.plan(str(other)).entries[0].stages
    assert first[1] == second[1] and first[2] != second[2]
    bench.store.root = bench.folder / 'elsewhere'
    assert bench.plan(toy).entries[0].stages == first


def test_references_are_found_and_resolved():
    config = {'a': ['stage://label/artifacts/x.png', 1], 'b': {'c': 'stage://rank'}, 'd': 'stage'}
    assert references(config) == {'label', 'rank'}
    places = {'label': Path('/r/1'), 'rank': Path('/r/2')}
    assert resolve(config, places) == {
        'a': ['/r/1/artifacts/x.png', 1], 'b': {'c': '/r/2'}, 'd': 'stage'
    }  # fmt: skip


def test_a_reference_to_no_stage_gets_a_hint(bench, toy):
    Path(toy).write_text(
        Path(toy).read_text().replace('stage://label/artifacts/labels', 'stage://lable/x')
    )
    with pytest.raises(UnknownNameError, match='did you mean label'):
        bench.plan(toy)


@pytest.mark.parametrize('data', ["'source'", "dict(pair=dict(source='source', target='target'))"])
def test_a_source_free_method_cannot_ask_for_source_data(bench, toy, data):
    text = Path(toy).read_text()
    Path(toy).write_text(
        text.replace("dict(type='target', labels=labels), **common", f'{data}, **common')
    )
    with pytest.raises(BenchError, match='asks for source data'):
        bench.plan(toy)
    Path(toy).write_text(Path(toy).read_text().replace("'source-free'", "'uda'"))
    stage = bench.plan(toy).stages[bench.plan(toy).entries[0].stages[2]]
    assert 'source_data' in stage.data
    assert str(bench.data_root / 'gta5') in stage.config['stage']['grants']


def test_a_source_free_method_cannot_train_on_target_labels(bench, toy):
    text = Path(toy).read_text()
    Path(toy).write_text(
        text.replace("dict(name='label', kind='label'", "dict(name='label', kind='train'")
    )
    with pytest.raises(BenchError, match='trains on target labels'):
        bench.plan(toy)
