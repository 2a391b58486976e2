from __future__ import annotations

from pathlib import Path

import pytest

from sfda_bench.plan import identity

CONFIG = {
    'default_scope': 'sfda_bench',
    'work_dir': '/anywhere/runs/x',
    'load_from': '/anywhere/runs/y/final.pth',
    'model': {'type': 'Tent', 'trainable': 'norm_affine', 'betas': (0.9, 0.999)},
    'train_dataloader': {
        'batch_size': 4,
        'num_workers': 2,
        'dataset': {'type': 'CityscapesDataset', 'data_root': '/data', 'split': 'train'},
    },
    'optim_wrapper': {'optimizer': {'type': 'Adam', 'lr': 1e-4}},
    'default_hooks': {'logger': {'interval': 50}},
    'randomness': {'seed': 0},
    'stage': {'kind': 'adapt', 'name': 'adapt', 'sealed': True, 'grants': ['/data/images']},
}


def id_of(config: dict, **changes) -> str:
    facts = {'parents': ['abc'], 'data': {'adapt': 'd1'}, 'code': 'c1', **changes}
    return identity.stage_id(config, **facts)


def test_the_id_of_a_fixed_config_is_pinned():
    # A change here makes every cached stage of every user run again: do it on purpose only.
    assert id_of(CONFIG) == '834c57cb9466'


@pytest.mark.parametrize(
    'change',
    [
        {'work_dir': '/elsewhere'},
        {'load_from': None},
        {'resume': True},
        {'default_hooks': {}},
        {'train_dataloader': {**CONFIG['train_dataloader'], 'num_workers': 8}},
        {'stage': {**CONFIG['stage'], 'grants': [], 'name': 'other', 'id': '1'}},
    ],
)
def test_paths_workers_and_logging_do_not_count(change):
    assert id_of({**CONFIG, **change}) == id_of(CONFIG)


@pytest.mark.parametrize(
    'change',
    [
        {'randomness': {'seed': 1}},
        {'optim_wrapper': {'optimizer': {'type': 'Adam', 'lr': 2e-4}}},
        {'train_dataloader': {**CONFIG['train_dataloader'], 'batch_size': 8}},
        {'stage': {**CONFIG['stage'], 'sealed': False}},
    ],
)
def test_what_decides_the_result_counts(change):
    assert id_of({**CONFIG, **change}) != id_of(CONFIG)


@pytest.mark.parametrize('fact', [{'parents': ['abd']}, {'data': {'adapt': 'd2'}}, {'code': 'c2'}])
def test_parents_data_and_code_count(fact):
    assert id_of(CONFIG, **fact) != id_of(CONFIG)


def test_order_of_keys_and_tuples_do_not_count():
    turned = dict(reversed(list(CONFIG.items())))
    turned['model'] = {'betas': [0.9, 0.999], 'trainable': 'norm_affine', 'type': 'Tent'}
    assert id_of(turned) == id_of(CONFIG)


def test_an_object_in_a_config_is_refused():
    with pytest.raises(TypeError, match='object'):
        identity.digest({'a': object()})


def test_comments_docstrings_and_layout_do_not_change_a_module_hash(tmp_path: Path):
    first, second, third = (tmp_path / name for name in ('a.py', 'b.py', 'c.py'))
    first.write_text('"""Doc."""\n\n\ndef f(x):\n    """Doc."""\n    return x + 1  # why\n')
    second.write_text('def f( x ):\n    return (x\n            + 1)\n')
    third.write_text('def f(x):\n    return x + 2\n')
    assert identity.module_hash(first) == identity.module_hash(second)
    assert identity.module_hash(first) != identity.module_hash(third)


def test_a_methods_code_reaches_its_building_blocks_and_no_other_method():
    roots = [f'sfda_bench.methods.tent.{name}' for name in ('adapter', 'losses')]
    modules = identity.reachable(roots)
    assert 'sfda_bench.adapt.entropy' in modules
    assert 'sfda_bench.methods.bn_adapt.adapter' not in modules


def test_registered_names_are_those_the_registries_hold():
    from sfda_bench import registry

    found = identity.registered_names()
    assert found['Tent'] == 'sfda_bench.methods.tent.adapter'
    for kind in (registry.MODELS, registry.DATASETS, registry.HOOKS, registry.METRICS):
        kind.import_from_location()
        # Other tests register classes of their own.
        ours = {k: v.__module__ for k, v in kind.module_dict.items() if _is_ours(v)}
        assert ours and {name: found[name] for name in ours} == ours


def _is_ours(item: type) -> bool:
    return item.__module__.startswith('sfda_bench.')


def test_modules_of_a_config_are_found_at_any_depth():
    config = {'model': {'type': 'Tent', 'segmentor': {'decode_head': {'type': 'DLV2Head'}}}}
    assert identity.modules_of(config) == {
        'sfda_bench.methods.tent.adapter',
        'sfda_bench.networks.architectures.dlv2_head',
    }


def test_an_optimiser_constructor_counts_as_code():
    config = {'optim_wrapper': {'constructor': 'RepeatOptimWrapperConstructor'}}
    assert identity.modules_of(config) == {'sfda_bench.engine.optim'}
