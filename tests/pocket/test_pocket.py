"""The pocket world: same seed same bytes, all classes, resuming, and what each look changes."""

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from sfda_bench.cli.scripts import prepare_data as main
from sfda_bench.data.decode import decode_label
from sfda_bench.data.layout import list_split
from sfda_bench.data.png import STORED_LIMIT, encode_png
from sfda_bench.errors import BenchError, UnknownNameError
from sfda_bench.pocket import world
from sfda_bench.pocket.canvas import convex_mask, ellipse_mask
from sfda_bench.pocket.develop import develop
from sfda_bench.pocket.looks import LOOKS
from sfda_bench.pocket.noise import Draws, box_blur, hash01, value_noise
from sfda_bench.pocket.scene import paint_scene

GOLDEN = json.loads(Path(__file__).with_name('pocket_golden.json').read_text())
TINY = world.WorldSpec((32, 64), 1, {'cityscapes/train': 3, 'gta5/train': 2})


def files_of(root):
    paths = sorted(p for p in root.rglob('*.png'))
    return {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in paths}


@pytest.mark.parametrize('part', sorted(GOLDEN))
def test_the_bytes_are_pinned(tmp_path, part):
    """These hashes change only together with RENDERER: they are the same on every machine."""
    world.render(world.WorldSpec((32, 64), 0), tmp_path, part, 0)
    found = hashlib.sha256(''.join(files_of(tmp_path).values()).encode()).hexdigest()[:16]
    assert found == GOLDEN[part]['hash']
    assert GOLDEN[part]['renderer'] == world.RENDERER


def test_processes_and_order_do_not_matter(tmp_path):
    world.ensure_pocket(tmp_path / 'one', TINY, workers=1)
    world.ensure_pocket(tmp_path / 'two', TINY, workers=2)
    assert files_of(tmp_path / 'one') == files_of(tmp_path / 'two')


def test_every_image_is_its_own_scene(pocket_root):
    hashes = list(files_of(pocket_root).values())
    assert len(set(hashes)) == len(hashes)


def test_renders_only_what_is_missing(tmp_path):
    assert world.ensure_pocket(tmp_path, TINY, workers=1) == 5
    assert world.ensure_pocket(tmp_path, TINY, workers=1) == 0
    before = files_of(tmp_path)
    marker = json.loads((tmp_path / world.MARKER).read_text())
    (tmp_path / world.MARKER).write_text(json.dumps({**marker, 'complete': False}))
    next(tmp_path.glob('gta5/labels/*.png')).unlink()
    assert not world.is_complete(tmp_path)
    assert world.ensure_pocket(tmp_path, TINY, workers=1) == 1
    assert files_of(tmp_path) == before


def test_counts_grow_and_shrink_and_a_new_seed_starts_over(tmp_path):
    world.ensure_pocket(tmp_path, TINY, workers=1)
    more = world.WorldSpec((32, 64), 1, {'cityscapes/train': 4, 'gta5/train': 1})
    assert world.ensure_pocket(tmp_path, more, workers=1) == 1
    assert len(list_split('gta5', tmp_path / 'gta5', 'train')) == 1
    other = world.WorldSpec((32, 64), 2, more.counts)
    before = files_of(tmp_path)
    assert world.ensure_pocket(tmp_path, other, workers=1) == 5
    assert not set(before.values()) & set(files_of(tmp_path).values())


def test_real_data_are_never_overwritten(tmp_path):
    (tmp_path / 'cityscapes').mkdir()
    with pytest.raises(BenchError, match='never overwritten'):
        world.ensure_pocket(tmp_path, TINY, workers=1)


def test_wrong_specs_are_refused():
    with pytest.raises(UnknownNameError, match='did you mean gta5/train'):
        world.WorldSpec(counts={'gta5/trian': 1})
    with pytest.raises(BenchError, match='at least 16x16'):
        world.WorldSpec(size=(8, 8))


def test_scenes_look_like_streets(pocket_root):
    """Class shares near those of Cityscapes; the ground is below, the sky above."""
    histogram, road_rows, sky_rows = np.zeros(256), [], []
    for dataset, encoding in (('gta5', 'gta5'), ('cityscapes', 'labelIds')):
        for sample in list_split(dataset, pocket_root / dataset, 'train'):
            labels = decode_label(sample.label, encoding)
            histogram += np.bincount(labels.ravel(), minlength=256)
            road_rows.append(np.nonzero(labels == 0)[0].mean())
            sky_rows.append(np.nonzero(labels == 10)[0].mean())
    shares = histogram / histogram.sum()
    assert 0.15 < shares[0] < 0.5 and 0.1 < shares[2] < 0.4 and 0.01 < shares[13] < 0.2
    assert np.mean(road_rows) > np.mean(sky_rows) + 15


@pytest.mark.parametrize('look', sorted(LOOKS))
def test_all_classes_of_a_look_turn_up(look):
    from sfda_bench.labels import label_id_table

    seen = np.zeros(256, int)
    for index in range(45):
        canvas, _ = paint_scene(LOOKS[look], Draws('classes', look, index), 48, 96)
        seen += np.bincount(label_id_table()[canvas.ids].ravel(), minlength=256) > 0
    absent = {i for i in range(19) if not seen[i]}
    assert absent == ({9, 14, 16} if look == 'synthia' else set())


def brightness(look, count=6):
    total = 0.0
    for index in range(count):
        draws = Draws('light', index)
        canvas, camera = paint_scene(LOOKS[look], draws, 48, 96)
        total += develop(canvas, camera, LOOKS[look], draws, 1).mean()
    return total / count


def test_night_is_dark_and_fog_is_pale():
    night, day, fog = brightness('night'), brightness('cityscapes'), brightness('fog')
    assert night < 0.65 * day and fog > day


def test_fog_grows_with_distance():
    canvas, camera = paint_scene(LOOKS['fog'], Draws(3), 64, 128)
    canvas.rgb[:] = 0
    sensor = LOOKS['cityscapes'].sensor
    picture = develop(canvas, camera, LOOKS['fog'], Draws(3), 1).mean(axis=2)
    near, far = canvas.depth < 8, (canvas.depth > 40) & (canvas.depth < 200)
    assert picture[far].mean() > picture[near].mean() + 30, sensor


def test_png_round_trips(tmp_path):
    draws = np.random.RandomState(0)
    grey = draws.randint(0, 256, (9, 7), np.uint8)
    deep = draws.randint(0, 65536, (9, 7, 3)).astype(np.uint16)
    large = draws.randint(0, 2, (700, 1600, 3), np.uint8)
    assert large.nbytes > STORED_LIMIT
    for number, pixels in enumerate((grey, deep, large)):
        path = tmp_path / f'{number}.png'
        path.write_bytes(encode_png(pixels))
        read = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert (read == (pixels if pixels.ndim == 2 else pixels[:, :, ::-1])).all()
    (tmp_path / 'p.png').write_bytes(encode_png(grey, [(i, i, 0) for i in range(256)]))
    with Image.open(tmp_path / 'p.png') as image:
        assert image.mode == 'P' and (np.asarray(image) == grey).all()


def test_polygons_and_ellipses_cover_pixel_centres():
    box, mask = convex_mask([(1, 1), (4, 1), (4, 3), (1, 3)], 6, 8)
    filled = np.zeros((6, 8), bool)
    filled[box] = mask
    assert filled.sum() == 6 and filled[1:3, 1:4].all()
    reverse = convex_mask([(1, 3), (4, 3), (4, 1), (1, 1)], 6, 8)[1]
    assert reverse.sum() == 6
    assert convex_mask([(20, 20), (30, 20), (30, 30)], 6, 8)[1] is None
    assert ellipse_mask((3, 3), (1, 1), 6, 8)[1].sum() == 4


def test_noise_is_deterministic_and_spread():
    x = np.arange(4000)
    values = hash01(x, 3, 5)
    assert (values == hash01(x, 3, 5)).all() and values.min() >= 0 and values.max() < 1
    assert abs(values.mean() - 0.5) < 0.02
    grid = np.linspace(0, 9, 500, dtype=np.float32)
    smooth = value_noise(grid, grid * 0, 1)
    assert np.abs(np.diff(smooth)).max() < 0.06
    flat = np.full((5, 6), 7, np.int32)
    assert (box_blur(flat, 2, 0) == 7).all()


def test_command_line(tmp_path, capsys):
    args = ['pocket', '--out', str(tmp_path / 'w'), '--size', '48x96', '--scale', '0.02',
            '--workers', '1', '--sheet', str(tmp_path / 'sheet.png')]  # fmt: skip
    assert main(args) == 0
    assert 'rendered' in capsys.readouterr().out
    with Image.open(tmp_path / 'sheet.png') as sheet:
        assert sheet.size[0] >= 2 * 96
    assert main([*args[:-2], '--count', 'gta5/train']) == 2
    assert 'PART=N' in capsys.readouterr().err
