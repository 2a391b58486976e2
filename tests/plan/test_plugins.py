"""A method of an installed package, by its entry point: found, hashed, sealed and run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sfda_bench.errors import BenchError, UnknownNameError
from sfda_bench.plan import catalog, identity
from sfda_bench.plan import plugins as outside
from sfda_bench.plan.method import Method
from sfda_bench.run import status as inspect

FILES = {
    'pyproject.toml': """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "street-methods"
version = "1.2"
[project.entry-points."sfda_bench.methods"]
sharpen = "street_methods.configs.sharpen"
[tool.setuptools]
packages = ["street_methods", "street_methods.configs"]
""",
    'street_methods/__init__.py': 'from . import sharpen\n',
    'street_methods/sharpen.py': """
from sfda_bench.adapt.adapter import Adapter
from sfda_bench.registry import MODELS
from .terms import sharpness

@MODELS.register_module()
class Sharpen(Adapter):
    def losses(self, views):
        return {'loss_sharp': sharpness(self.logits(views['image']))}
""",
    'street_methods/terms.py': """
from sfda_bench.adapt.entropy import pixel_entropy

def sharpness(logits):
    return pixel_entropy(logits).mean()
""",
    'street_methods/unused.py': 'nothing = 1\n',
    'street_methods/configs/__init__.py': '',
    'street_methods/configs/sharpen.py': """
card = dict(name='sharpen', title='Sharpen', track='source-free', fidelity='paper')
code_files = ['../sharpen.py']
stages = [
    dict(
        name='adapt', adapter=dict(type='Sharpen'), iters=2, batch_size=2,
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=1e-2)),
    ),
]
""",
}


def write(folder: Path) -> None:
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package, installed by pip into a folder of its own on ``sys.path``."""
    write(tmp_path / 'src')
    target = tmp_path / 'site'
    options = '--quiet --no-deps --no-build-isolation --no-index --disable-pip-version-check'
    command = [sys.executable, '-m', 'pip', 'install', *options.split(), '--target', str(target)]
    subprocess.run([*command, str(tmp_path / 'src')], check=True)
    monkeypatch.syspath_prepend(str(target))
    outside.installed.cache_clear()
    yield target
    outside.installed.cache_clear()


def test_an_installed_method_is_found_hashed_sealed_and_run(site, bench):
    assert 'sharpen' in catalog.known('methods') and 'sharpen' not in catalog.names('methods')
    row = next(r for r in inspect.members('methods') if r['method'] == 'sharpen')
    assert row == {
        'method': 'sharpen',
        'title': 'Sharpen',
        'track': 'source-free',
        'fidelity': 'paper',
        'mechanisms': [],
        'from': 'street-methods 1.2',
    }
    assert 'street_methods' not in sys.modules, 'planning imports no method code'
    plan = bench.plan('shar*')
    assert [entry.key.method for entry in plan.entries] == ['sharpen']
    stage = plan.stages[plan.entries[0].stages[1]]
    own = {name for name in stage.modules if name.startswith('file:')}
    assert own == {
        'file:street_methods',
        'file:street_methods.sharpen',
        'file:street_methods.terms',
    }
    assert 'sfda_bench.adapt.entropy' in stage.modules
    summary = bench.run(plan)
    assert summary.failures == [] and '"sealed"' in summary.written[0].read_text()

    (site / 'street_methods/unused.py').write_text('nothing = 2\n')
    terms = site / 'street_methods/terms.py'
    assert fresh(bench).stages == plan.entries[0].stages
    terms.write_text(terms.read_text() + '\n# a comment\n')
    assert fresh(bench).stages == plan.entries[0].stages
    terms.write_text(terms.read_text().replace('.mean()', '.sum()'))
    changed = fresh(bench).stages
    assert changed[0] == plan.entries[0].stages[0] and changed[1] != plan.entries[0].stages[1]


def fresh(bench):
    """The entry as another process would plan it."""
    from sfda_bench.plan import graph

    identity.module_hash.cache_clear()
    graph._modules.cache_clear()
    return bench.plan('sharpen').entries[0]


def test_a_misspelt_installed_method_is_named(site, bench):
    with pytest.raises(UnknownNameError, match='did you mean sharpen'):
        bench.plan('sharpn')


def test_without_a_selector_only_our_own_methods_run(site, bench):
    assert 'sharpen' not in {entry.key.method for entry in bench.plan().entries}


def test_a_broken_entry_point_names_its_package(site):
    (site / 'street_methods/configs/sharpen.py').unlink()
    with pytest.raises(BenchError, match=r'sharpen of street-methods 1\.2 names the config'):
        Method('sharpen')


def test_two_methods_of_one_name_are_told_apart(site, tmp_path, monkeypatch):
    names = ['sharpen', 'tent']
    monkeypatch.setattr(catalog, 'names', lambda kind: names if kind == 'methods' else [])
    with pytest.raises(BenchError, match='two methods are called sharpen'):
        Method('sharpen')


def test_code_of_a_package_may_import_its_neighbours(tmp_path):
    """Without being installed: absolute and relative imports, by the files alone."""
    write(tmp_path)
    files = outside.closure([tmp_path / 'street_methods/sharpen.py'])
    assert [path.name for path in files] == ['__init__.py', 'sharpen.py', 'terms.py']
    assert outside.readable(tmp_path / 'street_methods/sharpen.py') == tmp_path / 'street_methods'
    lone = tmp_path / 'lone.py'
    lone.write_text('x = 1')
    assert outside.readable(lone) == lone and outside.package_of(lone) is None
    assert outside.import_file(lone).x == 1


def test_data_inside_a_methods_package_are_refused(tmp_path):
    from sfda_bench.run.seal.guard import Guard

    data = tmp_path / 'street_methods' / 'data'
    with pytest.raises(BenchError, match=r'lies inside .*street_methods, which stays readable'):
        Guard([data.parent], [tmp_path / 'run'], [data]).seal()
