"""Stage kinds: ours are files, others come with a package; each makes a value."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest

from sfda_bench.errors import BenchError, UnknownNameError
from sfda_bench.plan import kinds, plugins
from sfda_bench.plan.model import StageDraft
from sfda_bench.store.record import read_record

FILES = {
    'pyproject.toml': """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "street-census"
version = "0.3"
[project.entry-points."sfda_bench.kinds"]
census = "street_census.kind"
[project.entry-points."sfda_bench.methods"]
counted = "street_census.counted"
[tool.setuptools]
packages = ["street_census"]
""",
    'street_census/__init__.py': '',
    # the kind: one pure function
    'street_census/kind.py': '''
"""Kind ``census``: counts the predicted classes of the target's training images."""
from sfda_bench.plan import configs
from sfda_bench.plan.model import StageDraft
from sfda_bench.plan.training_data import training_data

INIT, HANDS_ON, IN_METHODS, SHARED = 'last', False, True, False

def draft(setup, spec, parent):
    recipe = {**setup.sized(spec, setup.task['target_train']), 'crop_size': None, 'flip': False}
    dataset, data, grants = training_data(setup, 'target', recipe)
    config = configs.common(0, setup.stage_block('census', spec['name'], grants))
    config.update(
        model=setup.model,
        test_dataloader=configs.test_loader(dataset, 1, setup.workers),
        test_cfg={'type': 'TestLoop'},
        test_evaluator={'type': 'Census', 'out_dir': 'artifacts'},
        default_hooks=configs.test_hooks(),
    )
    return StageDraft(config, spec['name'], setup.title(spec['name']), data, parent)
''',
    'street_census/counter.py': """
import json
from pathlib import Path
import torch
from mmengine.evaluator import BaseMetric
from sfda_bench.registry import METRICS

@METRICS.register_module()
class Census(BaseMetric):
    def __init__(self, out_dir, **kwargs):
        super().__init__(**kwargs)
        self.out_dir = Path(out_dir)

    def process(self, data_batch, data_samples):
        for sample in data_samples:
            labels = sample['pred_sem_seg']['data'].flatten()
            self.results.append(torch.bincount(labels, minlength=19))

    def compute_metrics(self, results):
        self.out_dir.mkdir(parents=True, exist_ok=True)
        total = torch.stack(results).sum(0).tolist()
        (self.out_dir / 'census.json').write_text(json.dumps(total))
        return {'pixels': sum(total)}
""",
    'street_census/counted.py': """
card = dict(name='counted', title='Counted', track='source-free', fidelity='paper')
code_files = ['counter.py']
stages = [dict(name='count', kind='census')]
""",
}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package, installed by pip into a folder of its own on ``sys.path``."""
    for name, text in FILES.items():
        path = tmp_path / 'src' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    target = tmp_path / 'site'
    options = '--quiet --no-deps --no-build-isolation --no-index --disable-pip-version-check'
    command = [sys.executable, '-m', 'pip', 'install', *options.split(), '--target', str(target)]
    subprocess.run([*command, str(tmp_path / 'src')], check=True)
    monkeypatch.syspath_prepend(str(target))
    monkeypatch.setenv('PYTHONPATH', str(target))
    plugins.installed.cache_clear()
    yield target
    plugins.installed.cache_clear()
    for name in [name for name in sys.modules if name.startswith('street_census')]:
        del sys.modules[name]


def test_ours_are_the_files_of_the_folder():
    assert kinds.names() == [
        'adapt',
        'gate',
        'label',
        'score',
        'source',
        'stream',
        'train',
        'validate',
    ]
    assert kinds.in_methods() == ['adapt', 'label', 'stream', 'train']
    assert [name for name in kinds.names() if kinds.shared(name)] == ['adapt', 'score', 'train']


def test_a_kind_from_a_package_is_planned_sealed_and_run(site, bench):
    assert 'census' in kinds.names() and 'census' in kinds.in_methods()
    plan = bench.plan('counted')
    stages = [plan.stages[i] for i in plan.entries[0].stages]
    assert [stage.kind for stage in stages] == ['train', 'census', 'score']
    assert stages[1].parents == [stages[0].id] == stages[2].parents, 'it hands on no weights'
    (written,) = bench.run(plan).written
    record = read_record(written)
    assert record.guard.verdict == 'sealed'
    assert [stage.kind for stage in record.stages] == ['source', 'census', 'score']
    counts = json.loads((bench.store.path(stages[1].id) / 'artifacts/census.json').read_text())
    assert len(counts) == 19 and sum(counts) == 6 * 48 * 96


def test_a_misspelt_kind_is_named_with_those_there_are(bench, tmp_path):
    config = tmp_path / 'odd.py'
    config.write_text(
        "card = dict(name='odd', title='Odd', track='source-free', fidelity='paper')\n"
        "stages = [dict(name='x', kind='lable')]\n"
    )
    with pytest.raises(UnknownNameError, match='did you mean label'):
        bench.plan(str(config))
    config.write_text(config.read_text().replace('lable', 'score'))
    with pytest.raises(UnknownNameError, match='stage kind'):
        bench.plan(str(config))


def test_a_kind_that_cannot_be_imported_names_its_package(site):
    (site / 'street_census/kind.py').write_text('import nothing_there\n')
    with pytest.raises(BenchError, match=r'census \(street_census\.kind\).*nothing_there'):
        kinds.find('census')


def test_a_draft_cannot_be_changed():
    draft = StageDraft({}, 'a', 'a')
    with pytest.raises(dataclasses.FrozenInstanceError):
        draft.name = 'b'
