"""Values that no run can mean are refused when planning, and every number has a range."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from sfda_bench.adapt import crops
from sfda_bench.errors import BenchError
from sfda_bench.methods.self_training.losses import REGULARISERS
from sfda_bench.plan import catalog
from sfda_bench.plan.method import Method
from sfda_bench.plan.rules import check_value, rule_of
from sfda_bench.plan.selectors import parse_method
from sfda_bench.plan.settings import PARTS, check_stage, settings_of

ANY_REGULARISER = sorted(('none', *REGULARISERS))
TASK = 'gta5_to_cityscapes'
#: Numbers without a range, and why.
FREE: dict[str, str] = {}

WRONG = {
    'tent': [
        'iters=0', 'iters=-1', 'iters=1.5', "iters='abc'", 'iters=abc', 'iters=true', 'iters=none',
        'iters=[3]', 'iters={}', 'batch_size=0', 'batch_size=-1', 'batch_size=2.5',
        'lr=nan', 'lr=inf', 'lr=1e999', 'lr=-1e999', 'lr=-1e-4', 'lr=1e', 'lr=none', 'lr=[1e-4]',
        'betas=[0.9]', 'betas=[0.9, 0.99, 0.999]', 'betas=[0.9, 1.0]', 'betas=[-0.1, 0.9]',
        "betas=['a', 'b']", 'betas=0.9', 'weight_decay=-1', 'weight_decay=1e999', 'eps=none',
        'eps=-1', 'amsgrad=2', 'crop_size=[0, 64]', 'crop_size=[64, 64, 3]', 'crop_size=big',
        'crop_size=[1.5, 64]', 'input_size=[-1, 64]', 'flip=1.5', 'flip=often', 'flip=-0.1',
        'dropout=3', 'norm_mode=frozen', 'optim_wrapper.accumulative_counts=0',
        "clip_grad={'max_norm': 0}", "clip_grad={'max_norm': -1e999}", 'clip_grad=3',
    ],
    'cbst': [
        'optimizer.momentum=2', 'optimizer.momentum=-0.1', 'dampening=2', 'nesterov=3',
        'nesterov=true,dampening=0.5', 'nesterov=true,optimizer.momentum=0', 'portion=0',
        'portion=1.1', 'portion=nan', 'stride=0', 'rows=0', 'adapter.scale=0', 'adapter.scale=-1',
        'factors=[0.0, 1.0]', 'factors=[]', 'chance=1.5', 'fill=[0, 0, 300]',
        'regulariser_weight=-0.1', 'regulariser=mrant', 'ties=drop', 'policy=none',
        'writer.alpha=0', 'augment1.crop_size=[0, 1]',
    ],
    'crst_lrent': ['adapter.alpha=0', 'adapter.alpha=-1', 'writer.alpha=0', 'labels=views'],
    'iapc': [
        'adapter.momentum=2', 'weight_importance=-1', 'weight_enhanced=-1', 'weight_symmetric=nan',
        'weight_entropy=1e999', 'max_value=0', 'small_pixels=-1', 'small_pixels=1.5',
        'teacher.interval=0',
        'pack.scale=[0.8, 0.0]', 'pack.flip=2', 'base_size=[0, 0]', 'clean_size=1.5', 'tries=0',
        'min_classes=-1', 'schedule.warmup=-1', 'start=2', 'horizon=0', 'schedule.power=-1',
        'buffers=no', 'pack.mode=nearest', 'num_classes=0', 'num_classes=2.5',
    ],
    'atp': [
        'temperature=0', 'temperature=-1', 'gamma=-1', 'alpha=-1', 'hidden=-1', 'projection=0',
        'confident=1.1', 'positive_threshold=2', 'negative_threshold=-0.1', 'min_share=1.5',
        'ignore_top=-1', 'ignore_bottom=2.5', 'contrast_start=-1', 'easy_portion=0',
        'easy_portion=1.5', 'weight_contrast=-1', 'weight_regulariser=-1', 'weight_negative=-1',
        'weight_positive=nan', 'weight_diversity=-1', 'start_factor=2', 'start_factor=-1',
        'end_factor=2', 'schedule0.end=0', 'schedule0.end=abc', 'schedule0.end=2.5',
        'schedule1.begin=-1', 'schedule1.begin=1501', 'eta_min=-1', 'cbc_size=[0, 1]',
        'negative_form=product', 'adapter.momentum=1.5',
    ],
    'stvm': [
        'hidden=0', 'embedding=0', 'per_class=0', 'threshold=2', 'scale=0', 'weight_metric=-1',
    ],
    'advent': [
        'adversarial_main=-1', 'adversarial_auxiliary=nan', 'segmentation_auxiliary=-0.1',
        'discriminators.optimizer.betas=[0.9, 0.99, 0.5]', 'discriminators.optimizer.lr=-1',
    ],
    'bn_adapt': ['source_weight=2', 'source_weight=-0.5'],
    'tent_online': ['steps=0', 'restore=2', 'rounds=0', 'reset_on=tuesday', 'predict=never'],
}  # fmt: skip


@pytest.mark.parametrize(
    'text', [f'{name}[{params}]' for name, several in WRONG.items() for params in several]
)
def test_a_wrong_value_is_refused_when_planning(text):
    selector = parse_method(text)
    with pytest.raises(BenchError) as error:
        Method(selector.name).stages('paper', TASK, selector.params)
    # for its value, not for its name
    assert 'unknown parameter' not in error.value.found
    assert 'means several things' not in error.value.found


@pytest.mark.parametrize(
    'text',
    [
        'tent[lr=0]', 'tent[betas=(0.0, 0.5)]', 'tent[crop_size=none]', 'tent[flip=0.25]',
        "tent[clip_grad={'max_norm': 35, 'norm_type': 2}]",
        'cbst[nesterov=true]', 'cbst[portion=1.0]', 'crst_mrkld[regulariser_weight=0]',
        'iapc[weight_entropy=0]', 'iapc[adapter.momentum=1]', 'atp[hidden=0]', 'atp[alpha=0]',
        'atp[positive_threshold=none]', 'atp[positive_threshold=0.9]', 'atp[schedule0.end=none]',
        'advent[adversarial_main=0.0,adversarial_auxiliary=0.0]', 'intrada[easy_portion=1.0]',
    ],
)  # fmt: skip
def test_the_ends_of_a_range_may_be_typed(text):
    selector = parse_method(text)
    Method(selector.name).stages('paper', TASK, selector.params)


def numbers(value: Any) -> bool:
    """Whether a value is a number, or several."""
    if isinstance(value, (list, tuple)):
        return bool(value) and all(map(numbers, value))
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def typed_as_number(types: str) -> bool:
    """Whether an annotation names a kind of number; a size is one."""
    names = {
        n.id for n in ast.walk(ast.parse(types or '0', mode='eval')) if isinstance(n, ast.Name)
    }
    return bool(names & {'int', 'float', 'Size'})


def inner(key: str, value: Any, kind: str = '') -> Iterator[tuple[str, str]]:
    """(name, type of its object) of every number that a value holds."""
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield from inner(str(name), each, str(value.get('type', '')))
    elif numbers(value):
        yield key, kind
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from inner(key, each, kind)


def numbers_of(method: Method, profile: str, task: str) -> Iterator[tuple[str, str]]:
    """(name, type of its object) of every number that can be set or is stated."""
    stages = method.stages(profile, task, {})
    for setting in settings_of(stages, method.code_files):
        if typed_as_number(setting.parameter.types):
            yield setting.key, setting.kind
        yield from inner(setting.key, setting.value, setting.kind)
    for stage in stages:
        for part in (*PARTS, 'data'):
            yield from inner(part, stage.get(part))


@pytest.mark.parametrize('name', catalog.names('methods'))
def test_every_number_of_a_method_has_a_range(name):
    method = Method(name)
    found = {
        number
        for profile in method.spec()['profiles'] or ('paper',)
        for task in catalog.names('tasks')
        for number in numbers_of(method, profile, task)
    }
    assert {key for key, kind in found if rule_of(key, kind) is None} <= set(FREE)


def test_so_has_every_number_of_a_source_recipe():
    found = {
        number
        for name in catalog.names('networks')
        for part, value in catalog.load('networks', name)['network'].get('source', {}).items()
        if part not in ('model', 'expected')
        for number in inner(part, value)
    }
    assert {'lr', 'radius', 'crop_size', 'decay_mult'} <= {key for key, _ in found}
    assert {key for key, kind in found if rule_of(key, kind) is None} <= set(FREE)


@pytest.mark.parametrize(
    ('stage', 'shown'),
    [
        ({'iters': 'abc'}, 'iters in here'),
        ({'optim_wrapper': {'optimizer': {'type': 'SGD', 'lr': 'fast'}}}, 'optimizer.lr in here'),
        ({'param_scheduler': [{'type': 'PolyLR', 'begin': 5, 'end': 5}]}, 'schedule in here'),
        (
            {'data': {'pair': {'source': {'subset': {'portion': 0.0}}}}},
            'data.pair.source.subset.portion in here',
        ),
        ({'data': {'pair': {'easy': {'crop_size': (0, 5)}}}}, 'data.pair.easy.crop_size in here'),
        (
            {'optim_wrapper': {'optimizer': {}, 'paramwise_cfg': {'backbone_repeat': 0}}},
            'optim_wrapper.paramwise_cfg.backbone_repeat in here',
        ),
        (
            {'adapter': {'type': 'ATPDistil', 'strong': {'blur_probability': 2}}},
            'adapter.strong.blur_probability in here',
        ),
    ],
)  # fmt: skip
def test_what_a_config_states_is_checked_at_any_depth(stage, shown):
    with pytest.raises(BenchError) as error:
        check_stage(stage, 'here')
    assert error.value.found.startswith(shown)


def test_a_word_is_left_to_a_class_that_is_not_known():
    check_value('threshold', 'adaptive', 'adapter.threshold', 'Mine')
    with pytest.raises(BenchError, match=r'adapter\.threshold = 2'):
        check_value('threshold', 2, 'adapter.threshold', 'Mine')


def test_words_that_may_be_typed_are_those_that_the_classes_know():
    assert rule_of('regulariser', 'SelfTraining')[1] == f'one of: {", ".join(ANY_REGULARISER)}'
    assert rule_of('mode', 'CropStreams')[1] == f'one of: {", ".join(sorted(crops._MODES))}'


def test_none_is_a_word_where_the_value_is_text():
    selector = parse_method('crst_mrkld[regulariser=none]')
    stages = Method('crst_mrkld').stages('paper', TASK, selector.params)
    losses = [stage['adapter'].get('losses', {}) for stage in stages]
    assert {each['regulariser']['regulariser'] for each in losses if each} == {'none'}
    # and still no value where a path may be left out
    selector = parse_method('cbst_uda[prior=none]')
    stages = Method('cbst_uda').stages('paper', TASK, selector.params)
    assert {s['writer']['prior'] for s in stages if 'prior' in s.get('writer', {})} == {None}
