"""The doctor on a clean pocket world, and on copies broken in one way each."""

import json
import shutil

import cv2
import numpy as np
import pytest
from PIL import Image

from sfda_bench.cli.scripts import prepare_data as main
from sfda_bench.data.doctor.examine import examine
from sfda_bench.data.doctor.findings import NAMES, Finding, merge
from sfda_bench.data.png import encode_png
from sfda_bench.labels import label_id_table, palette_image

ALL = dict.fromkeys(('gta5', 'synthia', 'cityscapes', 'acdc'), ())


def first(root, pattern):
    return sorted(root.glob(pattern))[0]


def missing_label(root):
    first(root, 'gta5/labels/*.png').unlink()


def truncated_file(root):
    path = first(root, 'cityscapes/leftImg8bit/train/*/*.png')
    path.write_bytes(path.read_bytes()[:-500])


def swapped_split(root):
    for kind in ('leftImg8bit', 'gtFine'):
        folder = root / 'cityscapes' / kind
        (folder / 'train').rename(folder / 'other')
        (folder / 'val').rename(folder / 'train')
        (folder / 'other').rename(folder / 'val')


def colour_label(root):
    path = first(root, 'gta5/labels/*.png')
    ids = np.asarray(Image.open(path))
    path.write_bytes(encode_png(palette_image(label_id_table()[ids])))


def label_ids_as_train_ids(root):
    ids = first(root, 'acdc/gt/fog/val/*/*_labelIds.png')
    shutil.copy(ids, str(ids).replace('_labelIds', '_labelTrainIds'))


def wrong_channel(root):
    path = first(root, 'synthia/GT/LABELS/*.png')
    raw = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    cv2.imwrite(str(path), np.ascontiguousarray(raw[:, :, [0, 2, 1]]))


def size_mismatch(root):
    path = first(root, 'cityscapes/gtFine/val/*/*_labelIds.png')
    path.write_bytes(encode_png(np.asarray(Image.open(path))[:-4]))


def empty_folder(root):
    for path in (root / 'acdc/rgb_anon/snow/val').rglob('*.png'):
        path.unlink()


def duplicate_image(root):
    one, other = sorted((root / 'gta5/images').glob('*.png'))[:2]
    shutil.copy(one, other)


def extra_file(root):
    (root / 'synthia/RGB/thumbs.db').write_text('x')


def wrong_condition(root):
    for kind in ('rgb_anon', 'gt'):
        sequence = first(root / 'acdc' / kind, 'night/train/*')
        target = root / 'acdc' / kind / 'rain/train' / sequence.name
        sequence.rename(target)


def unreadable_file(root):
    first(root, 'gta5/images/*.png').write_bytes(b'this is not a picture')


BREAKAGES = (missing_label, truncated_file, swapped_split, colour_label, label_ids_as_train_ids,
             wrong_channel, size_mismatch, empty_folder, duplicate_image, extra_file,
             wrong_condition, unreadable_file)  # fmt: skip

FOLLOWS = {empty_folder: ('extra_file',), wrong_condition: ('empty_folder',)}


@pytest.fixture
def copy(pocket_root, tmp_path):
    root = tmp_path / 'copy'
    shutil.copytree(pocket_root, root)
    return root


def names_found(root, level=('error', 'warning')):
    result = examine(root, ALL, workers=1)
    return {f.name for f in result.findings if f.level in level}


def test_a_pocket_world_is_clean(pocket_root):
    result = examine(pocket_root, ALL, workers=2)
    assert result.ok and not [f for f in result.findings if f.level != 'info']
    assert {(s.dataset, s.split): s.images for s in result.splits} == {
        ('gta5', 'train'): 6, ('synthia', 'train'): 6, ('cityscapes', 'train'): 6,
        ('cityscapes', 'val'): 3, ('acdc', 'train'): 8, ('acdc', 'val'): 8}  # fmt: skip
    assert all(s.labelled == s.images == s.decoded for s in result.splits)


def test_twelve_breakages_have_twelve_names():
    assert len({b.__name__ for b in BREAKAGES} & set(NAMES)) == 12


@pytest.mark.parametrize('breakage', BREAKAGES, ids=lambda b: b.__name__)
def test_each_breakage_is_named(copy, breakage):
    breakage(copy)
    found = names_found(copy)
    assert breakage.__name__ in found
    # what follows from a lost or moved file may be named too, but no other kind of damage
    allowed = {breakage.__name__, 'wrong_count', 'missing_label', *FOLLOWS.get(breakage, ())}
    assert found <= allowed


def test_labels_of_another_split_are_told_from_missing_ones(copy):
    gt = copy / 'cityscapes/gtFine'
    city = first(gt, 'train/*')
    city.rename(gt / 'val' / city.name)
    assert 'swapped_split' in names_found(copy)


def test_images_moved_without_their_labels(copy):
    rgb = copy / 'acdc/rgb_anon'
    sequence = first(rgb, 'fog/train/*')
    sequence.rename(rgb / 'snow/train' / sequence.name)
    assert 'wrong_condition' in names_found(copy)


def test_unknown_condition_folder(copy):
    shutil.copytree(copy / 'acdc/rgb_anon/fog', copy / 'acdc/rgb_anon/foggy')
    assert 'wrong_condition' in names_found(copy)


def test_train_ids_stored_as_label_ids(copy):
    for path in (copy / 'cityscapes/gtFine/val').rglob('*_labelIds.png'):
        train = label_id_table()[np.asarray(Image.open(path))]
        path.write_bytes(encode_png(train))
    assert 'train_ids_as_label_ids' in names_found(copy)


def test_wrong_table_shows_in_class_shares(copy):
    for path in (copy / 'gta5/labels').glob('*.png'):
        ids = np.asarray(Image.open(path)).copy()
        ids[ids == 7] = 0
        path.write_bytes(encode_png(ids, [(i, i, i) for i in range(256)]))
    assert 'class_shares' in names_found(copy)


def test_broken_link_is_unreadable(copy):
    path = first(copy, 'synthia/RGB/*.png')
    path.unlink()
    path.symlink_to(copy / 'nowhere.png')
    assert 'unreadable_file' in names_found(copy)


def test_headers_only_still_finds_truncation_and_sizes(copy):
    truncated_file(copy)
    size_mismatch(copy)
    result = examine(copy, ALL, sample=0, workers=1)
    assert {'truncated_file', 'size_mismatch'} <= {f.name for f in result.findings}
    assert all(s.decoded == 0 for s in result.splits)


def test_unofficial_count_and_known_variant(copy):
    (copy / 'pocket.json').unlink()
    result = examine(copy, {'cityscapes': ('train',)}, workers=1)
    finding = next(f for f in result.findings if f.name == 'wrong_count')
    assert finding.found == '6 images' and '2975' in finding.expected


def test_findings_of_a_kind_become_one_line():
    many = [Finding('missing_label', 'gta5', 'train', 'x', paths=[str(i)]) for i in range(9)]
    (merged,) = merge(many)
    assert merged.count == 9 and len(merged.paths) == 5 and merged.fix


def test_cli_exit_codes_and_json(copy, capsys):
    assert main(['doctor', '--data-root', str(copy), '--workers', '1']) == 0
    assert 'clean' in capsys.readouterr().out
    missing_label(copy)
    assert main(['doctor', '--data-root', str(copy), '--json', '--workers', '1']) == 1
    told = json.loads(capsys.readouterr().out)
    assert not told['ok']
    finding = next(f for f in told['findings'] if f['name'] == 'missing_label')
    assert finding['count'] == 1 and finding['fix'] and finding['paths']


def test_cli_task_with_missing_data(copy, capsys):
    shutil.rmtree(copy / 'gta5')
    code = main(['doctor', '--task', 'gta5_to_cityscapes', '--data-root', str(copy)])
    out = capsys.readouterr().out
    assert code == 1 and 'missing_dataset' in out and 'from_games' in out
    assert 'synthia' not in out


def test_a_published_source_model_stands_in_for_source_data(copy, capsys):
    shutil.rmtree(copy / 'gta5')
    (copy / 'weights').mkdir()
    (copy / 'weights' / 'some.pth').touch()
    assert main(['doctor', '--task', 'gta5_to_cityscapes', '--data-root', str(copy)]) == 0
    assert 'WARNING missing_dataset (gta5)' in capsys.readouterr().out


def test_cli_wrong_usage(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv('SFDA_DATA_ROOT', raising=False)
    assert main(['doctor']) == 2
    assert main(['doctor', '--data-root', str(tmp_path)]) == 2
    assert main(['doctor', '--data-root', str(tmp_path), '--dataset', 'gta']) == 2
    assert 'did you mean gta5' in capsys.readouterr().err


@pytest.mark.data
def test_camvid_is_clean(real_root):
    result = examine(real_root, {'camvid': ()})
    assert result.ok and not result.findings
    assert [s.variant for s in result.splits][-1] == 'CamVid test, complete (233)'
