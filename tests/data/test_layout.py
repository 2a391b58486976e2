"""Listing files: splits, conditions, missing data, and never a look at labels without leave."""

import pytest

from sfda_bench.data import layout
from sfda_bench.errors import DataError, UnknownNameError


@pytest.mark.parametrize(
    ('dataset', 'split', 'count'),
    [('gta5', 'train', 6), ('synthia', 'train', 6), ('cityscapes', 'train', 6),
     ('cityscapes', 'val', 3), ('acdc', 'train', 8), ('acdc', 'val', 8)],
)  # fmt: skip
def test_lists_every_image_with_its_label(pocket_root, dataset, split, count):
    root = layout.require_root(pocket_root, dataset)
    samples = layout.list_split(dataset, root, split)
    assert len(samples) == len({s.sample_id for s in samples}) == count
    assert all(s.image.is_file() and s.label.is_file() for s in samples)
    assert [s.image for s in samples] == sorted(s.image for s in samples)


def test_acdc_by_condition(pocket_root):
    root = pocket_root / 'acdc'
    both = layout.list_split('acdc', root, 'val', ['night', 'fog'])
    assert [s.condition for s in both] == ['night'] * 2 + ['fog'] * 2
    with pytest.raises(UnknownNameError, match='did you mean night'):
        layout.list_split('acdc', root, 'val', ['nigth'])


def test_label_encoding_is_found_or_chosen(pocket_root):
    root = pocket_root / 'acdc'
    auto = layout.list_split('acdc', root, 'val')
    chosen = layout.list_split('acdc', root, 'val', encoding='labelTrainIds')
    assert all(s.label.name.endswith('_gt_labelIds.png') for s in auto)
    assert all(s.label.name.endswith('_gt_labelTrainIds.png') for s in chosen)


@pytest.mark.parametrize('dataset', ['gta5', 'synthia', 'cityscapes', 'acdc'])
def test_unlabelled_view_works_without_label_folders(pocket_root, tmp_path, dataset):
    source = pocket_root / dataset
    for folder in layout.image_dirs(dataset, source, 'train'):
        target = tmp_path / folder.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(folder)
    samples = layout.list_split(dataset, tmp_path, 'train', labelled=False)
    assert samples and all(s.label is None for s in samples)
    with pytest.raises(DataError, match='no label folder'):
        layout.list_split(dataset, tmp_path, 'train')


def test_camvid_lists_and_light(tmp_path):
    for name in ('0001TP_1', 'Seq05VD_2', 'unlisted'):
        for kind, suffix in (('images', '.jpg'), ('labels', '.png')):
            path = tmp_path / kind / 'test' / f'{name}{suffix}'
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    (tmp_path / 'test.txt').write_text('Seq05VD_2\n0001TP_1\n')
    (tmp_path / 'test_dusk_0001TP.txt').write_text('0001TP_1\n')
    samples = layout.list_split('camvid', tmp_path, 'test')
    assert [(s.sample_id, s.condition) for s in samples] == [
        ('0001TP_1', 'dusk'), ('Seq05VD_2', 'day')]  # fmt: skip
    assert len(layout.list_split('camvid', tmp_path, 'test_dusk_0001TP')) == 1
    assert tmp_path / 'test.txt' in layout.image_dirs('camvid', tmp_path, 'test')
    (tmp_path / 'test.txt').unlink()
    assert len(layout.list_split('camvid', tmp_path, 'test')) == 3


def test_alias_folders(tmp_path):
    (tmp_path / 'SYNTHIA').mkdir()
    assert layout.find_root(tmp_path, 'synthia') == tmp_path / 'SYNTHIA'
    assert layout.find_root(tmp_path, 'gta5') is None


def test_one_message_names_everything_missing(pocket_root, tmp_path):
    error = layout.missing_message(['gta5', 'cityscapes', 'gta5'], tmp_path, 'gta5_to_cityscapes')
    text = str(error)
    for part in ('missing data: gta5, cityscapes', 'images/00001.png', 'leftImg8bit_trainvaltest',
                 'from_games', 'SFDA_DATA_ROOT'):  # fmt: skip
        assert part in text
    assert layout.missing_message(['gta5'], pocket_root) is None
    assert 'no data root was given' in str(layout.missing_message(['gta5'], None))


def test_wrong_split_and_empty_folder(pocket_root, tmp_path):
    with pytest.raises(UnknownNameError, match='did you mean val'):
        layout.list_split('cityscapes', pocket_root / 'cityscapes', 'vall')
    (tmp_path / 'leftImg8bit' / 'val').mkdir(parents=True)
    with pytest.raises(DataError, match=r'no \*_leftImg8bit.png'):
        layout.list_split('cityscapes', tmp_path, 'val')
