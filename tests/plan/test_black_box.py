"""Black-box methods: predictions of the source model are visible, its weights are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sfda_bench.errors import BenchError
from sfda_bench.run.seal.guard import landlock_available
from sfda_bench.store.filenames import FINAL_NAME

needs_landlock = pytest.mark.skipif(not landlock_available(), reason='no Landlock in this kernel')
CODE = """
from sfda_bench.methods.atp.distil import ATPDistil
from sfda_bench.registry import MODELS

@MODELS.register_module()
class Thief(ATPDistil):
    def __init__(self, victim, **kwargs):
        super().__init__(**kwargs)
        self.victim = victim

    def losses(self, views):
        try:
            open(self.victim, 'rb').read()
        except OSError:
            pass
        return super().losses(views)
"""
CONFIG = """
card = dict(name='thief', title='Thief', track='black-box', fidelity='reconstructed')
code_files = ['thief_code.py']
stages = [
    dict(
        name='vendor', kind='label', vendor=True, init='source',
        adapter=dict(type='ProbabilityPredictor'), writer=dict(type='PredictionWriter'),
    ),
    dict(
        name='distil', init='scratch', adapter=dict(
            type='Thief', victim='', losses=dict(distil=dict(type='DistillationLoss')),
        ),
        data=dict(
            type='target', labels='stage://vendor/artifacts/labels',
            confidence='stage://vendor/artifacts/confidence',
        ),
        iters=1, batch_size=1, flip=True,
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=1e-3)),
    ),
]
"""


@pytest.fixture
def thief(bench) -> Path:
    (bench.folder / 'thief_code.py').write_text(CODE)
    path = bench.folder / 'thief.py'
    path.write_text(CONFIG)
    return path


@needs_landlock
def test_the_source_checkpoint_is_refused_and_named_even_if_the_refusal_is_swallowed(bench, thief):
    source = bench.plan('source_only').entries[0].stages[0]
    victim = bench.store.path(source) / FINAL_NAME
    plan = bench.plan(f'{thief}[victim={str(victim)!r}]')
    bench.run(plan)
    _, vendor, distil, _ = plan.entries[0].stages
    status = bench.store.status(distil)
    assert victim.is_file() and status.state == 'failed' and str(victim) in status.reason
    assert bench.store.status(vendor).state == 'done'
    assert plan.stages[distil].parents == [vendor] and plan.stages[vendor].parents == [source]

    folder = bench.store.path(vendor) / 'artifacts'
    own = next((folder / 'confidence').rglob('*.png'))
    with Image.open(own) as image:
        steps = np.asarray(image)
    assert steps.dtype == np.uint16 and steps.min() >= 65535 // 19
    allowed = bench.plan(f'{thief}[victim={str(own)!r}]')
    bench.run(allowed)
    assert bench.store.status(allowed.entries[0].stages[2]).state == 'done'


@pytest.mark.parametrize(
    ('old', 'new', 'message'),
    [
        ("init='scratch'", "init='source'", "reads the source model's weights"),
        ("init='scratch', ", '', "reads the source model's weights"),
        ('stage://vendor/artifacts/labels', 'stage://source', "reads the source model's weights"),
        (', vendor=True', '', "reads the source model's weights"),
        ("track='black-box'", "track='source-free'", 'is a vendor stage'),
        ("init='scratch'", "init='source', vendor=True", 'is a vendor stage of kind adapt'),
    ],
)
def test_a_leaking_plan_is_refused(bench, thief, old, new, message):
    assert old in CONFIG
    thief.write_text(CONFIG.replace(old, new))
    with pytest.raises(BenchError, match=message):
        bench.plan(str(thief))
