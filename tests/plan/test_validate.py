"""The stage that examines a checkpoint: what it computes, and that it cannot see a label."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope

from sfda_bench.errors import UnknownNameError
from sfda_bench.networks.build import build_segmentor
from sfda_bench.plan import catalog
from sfda_bench.plan.expand import load_suite
from sfda_bench.plan.graph import StageGraph
from sfda_bench.plan.kinds import validate
from sfda_bench.plan.sweep import examine, last_weights, setup_of
from sfda_bench.run.seal.guard import landlock_available
from sfda_bench.scoring.prediction_statistics import softmax
from sfda_bench.scoring.protocols import load_inference
from sfda_bench.store.evidence import EVIDENCE_NAME, load_evidence
from sfda_bench.store.filenames import ARTIFACTS, FINAL_NAME

needs_landlock = pytest.mark.skipif(not landlock_available(), reason='no Landlock in this kernel')


def examined(bench, method: str = 'tent[iters=2]'):
    """A plan whose entry's last checkpoint and source model are examined; the two ids."""
    plan = bench.plan(method)
    (entry,) = plan.entries
    graph = StageGraph(plan.data_root, bench.store)
    graph.stages = plan.stages
    setup = setup_of(load_suite(bench.suite), entry, plan.data_root, bench.store, 0)
    return (
        plan,
        examine(graph, setup, last_weights(entry, plan)),
        examine(graph, setup, entry.stages[0]),
    )


def evidence_of(bench, stage: str):
    return load_evidence(bench.store.path(stage) / ARTIFACTS / EVIDENCE_NAME)


def test_a_checkpoint_is_examined_on_unlabelled_training_images(bench):
    plan, adapted, source = examined(bench)
    bench.run(plan)
    found, before = evidence_of(bench, adapted), evidence_of(bench, source)
    assert bench.store.status(adapted).result['guard']['verdict'] == 'sealed'
    assert len(found.ids) == 6, 'the training images of the target'
    assert found.ids == before.ids
    assert not np.array_equal(found.logits, before.logits)
    # 48 x 96 pixels at stride 4, both ends included or not; fewer than 512: all of them are kept
    (cells,) = set(found.statistics.pixels)
    assert len(found.logits) == 6 * cells
    assert found.views.confusion.sum() == 6 * cells
    assert (found.views.confusion.sum(axis=2) == found.statistics.histogram).all()


def test_the_sums_are_those_of_the_plain_network(bench):
    """Computed here anew from the checkpoint and the image files."""
    plan, _, source = examined(bench)
    bench.run(plan)
    found = evidence_of(bench, source)
    config = plan.stages[source].config
    init_default_scope('sfda_bench')
    network = build_segmentor(copy.deepcopy(config['model']['segmentor'])).eval()
    weights = torch.load(Path(config['load_from']), map_location='cpu')['state_dict']
    network.load_state_dict(weights)
    image = sorted((bench.data_root / 'cityscapes/leftImg8bit/train').rglob('*.png'))[0]
    from PIL import Image

    pixels = torch.from_numpy(np.asarray(Image.open(image).convert('RGB'))[..., ::-1].copy())
    block = catalog.load('networks', 'deeplabv2_pocket')['network']['input']
    pixels = (pixels.permute(2, 0, 1).float() - torch.tensor(block['mean']).view(3, 1, 1)) / 57.0
    with torch.no_grad():
        logits = network.decode_head(network.extract_feat(pixels[None]))[0].numpy()
    p = softmax(logits.astype(np.float64))
    place = [image.name.startswith(name) or name in image.name for name in found.ids].index(True)
    assert found.statistics.probability[place] == pytest.approx(p.sum(axis=(1, 2)), rel=1e-4)
    own = found.logits[found.image == place]
    np.testing.assert_allclose(own, logits.reshape(len(logits), -1).T, atol=1e-4)


def test_one_plain_view_whatever_the_protocol_has(bench):
    plan = bench.plan('tent')
    setup = setup_of(load_suite(bench.suite), plan.entries[0], plan.data_root, bench.store, 0)
    for name in ('hcl_msflip', 'simt_2scales', 'ocl_1024_flip_halfgt', 'crst_test_0912f'):
        other = replace(setup, inference=load_inference(name))
        kinds = [step['type'] for step in validate.image_pipeline(other)]
        resized = ['ResizeTo'] if name != 'crst_test_0912f' else []
        assert kinds == ['LoadImage', *resized, 'PackForTest'], name


# --- it cannot see a label ----------------------------------------------------------------------

HOSTILE = """
import torch
from mmengine.hooks import Hook
from sfda_bench.adapt.adapter import Adapter
from sfda_bench.adapt.validation import StatisticsPredictor
from sfda_bench.registry import HOOKS, MODELS

class Payload:
    def __init__(self, victim): self.victim = victim
    def __reduce__(self): return (open, (self.victim,))

@MODELS.register_module()
class Sly(Adapter):
    def losses(self, views):
        return {'loss': self.logits(views['image']).square().mean()}

@HOOKS.register_module()
class Swap(Hook):
    '''Leaves a checkpoint that opens a label when it is loaded.'''
    priority = 'LOWEST'
    def __init__(self, victim): self.victim = victim
    def after_train(self, runner):
        path = f'{runner.work_dir}/final.pth'
        found = torch.load(path, weights_only=False)
        torch.save({**found, 'payload': Payload(self.victim)}, path)

@MODELS.register_module()
class Peeping(StatisticsPredictor):
    def __init__(self, victim, swallow, **kwargs):
        super().__init__(**kwargs)
        self.victim, self.swallow = victim, swallow
    def predict(self, inputs, data_samples=None):
        try:
            open(self.victim, 'rb').read()
        except OSError:
            if not self.swallow:
                raise
        return super().predict(inputs, data_samples)
"""
CONFIG = """
card = dict(name='sly', title='Sly', track='source-free', fidelity='paper')
code_files = ['sly_code.py']
stages = [
    dict(
        name='adapt', adapter=dict(type='Sly'), iters=1, batch_size=1,
        hooks=[dict(type='Swap', victim={victim!r})],
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.0)),
    ),
]
"""


@pytest.fixture
def label(bench) -> Path:
    return next((bench.data_root / 'cityscapes/gtFine/train').rglob('*_labelIds.png'))


@pytest.fixture
def sly(bench, label) -> str:
    (bench.folder / 'sly_code.py').write_text(HOSTILE)
    (bench.folder / 'sly.py').write_text(CONFIG.format(victim=str(label)))
    return str(bench.folder / 'sly.py')


def test_no_code_of_the_method_is_part_of_it(bench, sly):
    plan, adapted, _ = examined(bench, sly)
    stage = plan.stages[adapted]
    assert 'code_files' not in stage.config['stage']
    assert stage.config['model']['type'] == 'StatisticsPredictor'
    assert stage.config['stage']['sealed']
    assert not [name for name in stage.modules if name.startswith('file:')]
    assert not [g for g in stage.config['stage']['grants'] if 'gtFine' in g]


def test_it_is_sealed_for_methods_that_are_not(bench):
    """A method that reads source data is examined without any."""
    plan, adapted, _ = examined(bench, 'cbst_uda')
    block = plan.stages[adapted].config['stage']
    assert block['sealed'] and not [g for g in block['grants'] if 'gta5' in g]


@needs_landlock
@pytest.mark.parametrize('swallow', [False, True])
def test_a_predictor_that_opens_a_label_fails_and_is_named(bench, sly, label, swallow):
    """Even if its code got in, and whether or not it hides the refusal."""
    plan = bench.plan('source_only')
    (entry,) = plan.entries
    graph = StageGraph(plan.data_root, bench.store)
    graph.stages = plan.stages
    setup = setup_of(load_suite(bench.suite), entry, plan.data_root, bench.store, 0)
    honest = validate.draft(setup, {'of': 'x'}, entry.stages[0])
    model = {**honest.config['model'], 'type': 'Peeping', 'victim': str(label), 'swallow': swallow}
    hostile = replace(
        honest,
        config={**honest.config, 'model': model},
        code_files=[Path(sly).parent / 'sly_code.py'],
    )
    stage = graph.add(hostile)
    bench.run(plan)
    status = bench.store.status(stage)
    assert status.state == 'failed' and label.name in status.reason
    assert not bench.store.is_done(stage), 'a sweep takes no evidence from it'


@needs_landlock
def test_a_checkpoint_that_opens_a_label_gets_nothing(bench, sly, label):
    plan, adapted, _ = examined(bench, sly)
    bench.run(plan)
    trained = bench.store.path(last_weights(plan.entries[0], plan)) / FINAL_NAME
    assert b'payload' in trained.read_bytes(), 'the hook has swapped the checkpoint'
    status = bench.store.status(adapted)
    assert status.state == 'failed'
    assert not (bench.store.path(adapted) / ARTIFACTS / EVIDENCE_NAME).exists()


def test_a_method_cannot_ask_for_one(bench, tmp_path):
    config = tmp_path / 'asks.py'
    config.write_text(
        "card = dict(name='asks', title='Asks', track='source-free', fidelity='paper')\n"
        "stages = [dict(name='x', kind='validate')]\n"
    )
    with pytest.raises(UnknownNameError, match='stage kind'):
        bench.plan(str(config))
