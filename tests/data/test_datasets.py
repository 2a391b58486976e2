"""Registered data sets: decoding, the unlabelled view, positioned draws."""

import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope

from sfda_bench.data import datasets  # noqa: F401  (registers)
from sfda_bench.data.draws import seeded
from sfda_bench.errors import BenchError, DataError
from sfda_bench.registry import DATASETS

META = ('img_path', 'sample_id', 'condition', 'ori_shape', 'img_shape', 'scale_factor', 'flip')
LOAD = [dict(type='LoadImage'), dict(type='LoadTrainIds')]
PACK = dict(type='PackSegInputs', meta_keys=META)
KINDS = {
    'gta5': 'GTA5Dataset',
    'synthia': 'SynthiaDataset',
    'cityscapes': 'CityscapesDataset',
    'acdc': 'ACDCDataset',
}


def build(**cfg):
    with DefaultScope.overwrite_default_scope('sfda_bench'):
        return DATASETS.build(cfg)


class Positioned(int):
    def __new__(cls, index, position, seed):
        self = super().__new__(cls, index)
        self.position, self.seed = position, seed
        return self


@pytest.mark.parametrize('name', KINDS)
def test_items_are_train_ids_with_metadata(pocket_root, name):
    data = build(type=KINDS[name], data_root=str(pocket_root / name), pipeline=[*LOAD, PACK])
    seen = set()
    for i in range(len(data)):
        item = data[i]
        assert item['inputs'].shape == (3, 48, 96) and item['inputs'].dtype == torch.uint8
        labels = item['data_samples'].gt_sem_seg.data
        assert labels.shape == (1, 48, 96)
        seen |= set(labels.unique().tolist())
        meta = item['data_samples'].metainfo
        assert meta['sample_id'] and meta['ori_shape'] == (48, 96)
        assert meta['condition'] in (('fog', 'night', 'rain', 'snow') if name == 'acdc' else ('',))
    assert seen <= {*range(19), 255} and {0, 1, 2, 8, 10, 13} <= seen
    if name == 'synthia':
        assert not seen & {9, 14, 16}


def test_lane_marking_reading_changes_void_to_road(pocket_root):
    roads = {}
    for reading in ('ignore', 'road'):
        data = build(type='SynthiaDataset', data_root=str(pocket_root / 'synthia'), pipeline=LOAD,
                     lane_marking=reading)  # fmt: skip
        roads[reading] = [data[i]['gt_seg_map'] for i in range(len(data))]
    ignored, road = np.stack(roads['ignore']), np.stack(roads['road'])
    changed = ignored != road
    assert changed.any()
    assert (ignored[changed] == 255).all() and (road[changed] == 0).all()


def test_label_ids_and_train_ids_of_acdc_agree(pocket_root):
    maps = []
    for encoding in ('labelIds', 'labelTrainIds'):
        data = build(type='ACDCDataset', data_root=str(pocket_root / 'acdc'), split='val',
                     label_encoding=encoding, pipeline=LOAD)  # fmt: skip
        maps.append(np.stack([data[i]['gt_seg_map'] for i in range(len(data))]))
    assert (maps[0] == maps[1]).all()


def test_class_subsets_are_refused(pocket_root):
    with pytest.raises(BenchError, match='scoring protocol'):
        build(type='CityscapesDataset', data_root=str(pocket_root / 'cityscapes'),
              metainfo=dict(classes=('road', 'car')))  # fmt: skip


def test_sample_list(pocket_root, tmp_path):
    chosen = tmp_path / 'list.txt'
    chosen.write_text('00002\n00005\n')
    cfg = dict(type='GTA5Dataset', data_root=str(pocket_root / 'gta5'), sample_list=str(chosen))
    data = build(**cfg)
    assert [data.get_data_info(i)['sample_id'] for i in range(len(data))] == ['00002', '00005']
    chosen.write_text('99999\n')
    with pytest.raises(DataError, match='99999'):
        build(**cfg)


def target(pocket_root, pipeline):
    inner = dict(type='CityscapesDataset', data_root=str(pocket_root / 'cityscapes'), split='train')
    return build(type='UnlabelledTarget', dataset=inner, pipeline=pipeline)


def test_unlabelled_target_has_no_label_path(pocket_root):
    data = target(pocket_root, [dict(type='LoadImage'), PACK])
    assert len(data) == 6
    assert all('seg_map_path' not in data.get_data_info(i) for i in range(len(data)))
    assert 'gt_sem_seg' not in data[0]['data_samples']


@pytest.mark.parametrize(
    'step',
    [
        dict(type='LoadTrainIds'),
        dict(type='LoadAnnotations'),
        dict(type='mmseg.LoadAnnotations'),
        dict(type='RandomApply', transforms=[dict(type='LoadTrainIds')], prob=0.5),
    ],
)
def test_unlabelled_target_refuses_label_loaders(pocket_root, step):
    with pytest.raises(BenchError, match='unlabelled target'):
        target(pocket_root, [dict(type='LoadImage'), step])


def augmented(pocket_root):
    steps = [dict(type='LoadImage'), dict(type='ResizeTo', size=(80, 40)),
             dict(type='RandomCrop', crop_size=(24, 32)), dict(type='RandomFlip', prob=0.5),
             PACK]  # fmt: skip
    return target(pocket_root, steps)


def test_positioned_draws_depend_on_position_alone(pocket_root):
    data = augmented(pocket_root)
    first = data[Positioned(1, 10, 3)]['inputs']
    np.random.seed(99)
    torch.manual_seed(99)
    assert torch.equal(first, data[Positioned(1, 10, 3)]['inputs'])
    others = [data[Positioned(1, p, 3)]['inputs'] for p in range(11, 16)]
    assert any(not torch.equal(first, other) for other in others)


def test_positioned_draws_leave_the_global_state_alone(pocket_root):
    data = augmented(pocket_root)
    np.random.seed(5)
    expected = np.random.rand()
    np.random.seed(5)
    data[Positioned(0, 1, 2)]
    assert np.random.rand() == expected


def test_seeded_covers_all_three_generators():
    import random

    def draw():
        with seeded(1, 2):
            return random.random(), float(np.random.rand()), float(torch.rand(1))

    assert draw() == draw()


def test_resized_image_keeps_native_labels(pocket_root):
    steps = [dict(type='LoadImage'), dict(type='ResizeTo', size=(64, 32)),
             dict(type='LoadTrainIds'), PACK]  # fmt: skip
    data = build(type='CityscapesDataset', data_root=str(pocket_root / 'cityscapes'), split='val',
                 pipeline=steps)  # fmt: skip
    item = data[0]
    assert item['inputs'].shape == (3, 32, 64)
    assert item['data_samples'].gt_sem_seg.data.shape == (1, 48, 96)
    assert item['data_samples'].metainfo['ori_shape'] == (48, 96)


@pytest.mark.data
def test_camvid_as_it_is(real_root):
    for split, count in (('train', 367), ('val', 101), ('test', 233)):
        data = build(type='CamVidDataset', data_root=str(real_root / 'camvid'), split=split,
                     pipeline=LOAD)  # fmt: skip
        assert len(data) == count
        assert set(np.unique(data[0]['gt_seg_map'])) <= {*range(11), 255}
