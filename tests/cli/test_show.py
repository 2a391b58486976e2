"""``show``: every setting of every stage, readable, and what another profile does differently."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sfda_bench.cli.main import main
from sfda_bench.cli.recipe import Row, StageRecipe, folded
from sfda_bench.cli.show import WIDTH, as_text, shown
from sfda_bench.plan import catalog
from sfda_bench.plan.method import Method
from sfda_bench.plan.settings import settings_of

ROOT = Path(__file__).resolve().parents[2]


def told(capsys, *argv: str) -> str:
    assert main(['show', *argv]) == 0
    return capsys.readouterr().out


def block(text: str, stage: str) -> str:
    """The lines of one stage."""
    (found,) = [part for part in text.split('\n\n') if part.lstrip('* ').startswith(f'{stage} ')]
    return found


@pytest.mark.parametrize('method', catalog.names('methods'))
def test_every_method_fits_in_100_columns_and_shows_every_stage_once(method, capsys):
    text = told(capsys, method, '--against', 'pocket')
    assert max(map(len, text.splitlines())) <= WIDTH
    stages = Method(method).stages('paper', 'gta5_to_cityscapes', {})
    assert sorted(blocks_of(text)) == sorted(stage['name'] for stage in stages)


def blocks_of(text: str) -> list[str]:
    """Names of the stages whose blocks a page has; ``trainN`` with ``N = 2, 3`` is two of them."""
    names: list[str] = []
    for name, _, rounds in re.findall(
        r'^[* ]*(\w+?)(N?)  \(\w+\)  (?:N = ([\d, ]+);)?', text, re.MULTILINE
    ):
        names += [f'{name}{index}' for index in rounds.split(', ')] if rounds else [name]
    return names


def test_the_values_are_those_of_the_stages_with_the_users_settings(capsys):
    data = json.loads(told(capsys, 'iapc[adapter.momentum=0.5,iters=7]', '--json'))
    assert data['settings'] == {'adapter.momentum': 0.5, 'iters': 7}
    stages = Method('iapc').stages('paper', 'gta5_to_cityscapes', data['settings'])
    compared = 0
    for stage, found in zip(stages, data['stages'], strict=True):
        assert (found['name'], found['starts_from']) == (stage['name'], 'the source model')
        for setting in settings_of([stage]):
            row = found[setting.holder or 'stage']
            value = {**row['defaults'], **row}[setting.key]
            assert value == json.loads(json.dumps(setting.value)), setting.full
            compared += 1
    assert compared > 40
    adapt = data['stages'][1]
    assert adapt['kind'] == 'adapt' and adapt['data']['labels'] == 'stage://label/artifacts/labels'
    assert adapt['hooks.teacher']['momentum'] == 0.5 and adapt['stage']['iters'] == 7
    assert adapt['optimizer']['type'] == 'SGD' and adapt['schedule']['type'] == 'WarmupPolyLR'
    assert adapt['paramwise']['decode_head:lr_mult'] == 10


def test_differences_to_another_profile_are_marked_and_nothing_else(capsys):
    text = told(capsys, 'iapc', '--against', 'pocket')
    adapt = block(text, 'adapt')
    assert '*iters=9000 [pocket: 60]' in adapt and '*momentum=0.9999 [pocket: 0.98]' in adapt
    assert (
        '* optimizer         SGD: lr=0.0001' in adapt and '    pocket          Adam: lr=' in adapt
    )
    assert ' batch_size=6,' in adapt and '*batch_size' not in adapt
    plain = told(capsys, 'iapc')
    assert '*' not in plain and 'pocket' not in plain
    data = json.loads(told(capsys, 'iapc', '--against', 'pocket', '--json'))
    assert data['against'] == 'pocket'
    assert {'stage': 'adapt', 'setting': 'iters', 'here': 9000, 'there': 60} in data['differences']
    same = json.loads(told(capsys, 'iapc', '--against', 'paper', '--json'))
    assert same['differences'] == []
    assert '[' not in told(capsys, 'tent', '--against', 'paper').partition('brackets')[2]


def test_rounds_are_folded_into_one_block(capsys):
    text = told(capsys, 'cbst')
    assert 'stages: threshold0, label0, train0, threshold1' in text
    threshold = block(text, 'thresholdN')
    assert 'N = 0, 1, 2; starts from the source model / train0 / train1' in threshold
    assert 'portion=0.2 / 0.25 / 0.3,' in threshold
    assert 'labels=stage://labelN/artifacts/labels' in block(text, 'trainN')
    assert len(text.splitlines()) < 40


def test_stages_that_are_built_of_other_things_are_not_folded():
    def stage(name: str, kind: str = 'SGD') -> StageRecipe:
        return StageRecipe(name, 'adapt', 'x', {'stage': Row(stated={'iters': 1}),
                                                'optimizer': Row(kind, {'lr': 1.0})})  # fmt: skip

    groups = folded([stage('train0', 'Adam'), stage('train1'), stage('train2'), stage('other')])
    assert [group.name for group in groups] == ['train0', 'trainN', 'other']
    text = '\n'.join(as_text([stage('train0')], [stage('train0'), stage('more')], 'pocket'))
    assert '* more: only in pocket' in text and '*iters' not in text
    assert '[not in pocket]' in '\n'.join(as_text([stage('train0')], [], 'pocket'))


def test_a_task_has_its_own_recipe_and_the_suites_size(capsys):
    def size(task: str) -> list[int]:
        data = json.loads(told(capsys, 'tent', '--task', task, '--json'))
        return data['stages'][0]['stage']['input_size']

    assert size('gta5_to_cityscapes') == [1024, 512] and size('cityscapes_to_acdc') == [960, 540]


def test_methods_without_stages_or_with_a_networks_recipe(capsys):
    assert 'stages: none; the source model as it is' in told(capsys, 'source_only')
    assert 'recipe=network' in told(capsys, 'oracle')


@pytest.mark.parametrize(
    ('argv', 'hint'),
    [
        (['tnet'], 'did you mean tent'),
        (['tent[optimizer.lrr=1]'], 'did you mean optimizer.lr'),
        (['tent', '--profile', 'papr'], 'one of: camvid, paper, pocket'),
        (['tent', '--task', 'gta_to_cityscapes'], 'did you mean gta5_to_cityscapes'),
    ],
)
def test_what_is_unknown_gets_a_hint(argv, hint, capsys):
    assert main(['show', *argv]) == 1
    assert hint in capsys.readouterr().err


@pytest.mark.parametrize(
    ('value', 'text'),
    [(0.1 + 0.2, '0.3'), (1e-4, '0.0001'), (True, 'True'), ((1, 2.5), '(1, 2.5)'), (None, 'None'),
     ([0.5, 'a'], '[0.5, a]'), ({'a': 1.0}, '{a: 1}')],
)  # fmt: skip
def test_values_are_shown_as_they_are_typed(value, text):
    assert shown(value) == text


def test_it_needs_no_data_and_no_torch():
    code = (
        'import sys; from sfda_bench.cli.main import main\n'
        'code = main(["show", "atp", "--against", "camvid"])\n'
        'sys.exit(code or "torch" in sys.modules)'
    )
    done = subprocess.run(
        [sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True,
        env={'PATH': '/usr/bin:/bin'},
    )  # fmt: skip
    assert done.returncode == 0 and 'propagate' in done.stdout, done.stderr
