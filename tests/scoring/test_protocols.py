"""Protocols: frozen, typed, and each with the trap it is there for."""

import numpy as np
import pytest
import yaml

from sfda_bench.errors import BenchError, UnknownNameError
from sfda_bench.labels import CAMVID_CLASSES, CITYSCAPES_CLASSES, SYNTHIA13, SYNTHIA16
from sfda_bench.scoring import protocols as P
from sfda_bench.scoring.confusion import iou, mean_iou
from sfda_bench.scoring.scores import score

FIRST_SET = {
    'inference': 'pocket camvid dlv2_caffe hcl_msflip dt_st_1536 daformer acdc_daformer atp_1280 '
    'atp_1280_prior crst_test_0912f cbst_mxnet_2048_flip ctta_960_slide ctta_960_slide_14views',
    'scoring': 'cityscapes19 synthia16_avg synthia16_masked synthia13_avg synthia13_masked16 '
    'synthia13_recomputed acdc19 acdc19_mean_of_conditions camvid11',
}


def random_counts(images=6, seed=0, k=19):
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 40, (images, k, k + 1))
    counts[:, range(k), range(k)] += 300
    return counts.astype(np.uint32)


def every():
    return [
        *(P.load_inference(name) for name in P.names('inference')),
        *(P.load_scoring(name) for name in P.names('scoring')),
    ]


def test_the_first_set_is_there():
    for kind, ids in FIRST_SET.items():
        assert set(P.names(kind)) >= set(ids.split())


def test_a_version_is_frozen():
    """Editing a field that decides a number needs a new version and a new line in frozen.yaml."""
    frozen = yaml.safe_load((P.PROTOCOLS / 'frozen.yaml').read_text())
    for protocol in every():
        kind = 'inference' if isinstance(protocol, P.InferenceProtocol) else 'scoring'
        key = f'{kind}/{protocol.ref}'
        assert frozen.get(key) == protocol.digest, f'{key} changed: raise its version'


def test_the_hash_covers_numbers_and_not_prose():
    protocol = P.load_inference('dlv2_caffe')
    assert protocol.model_copy(update={'title': 'x', 'notes': 'y'}).digest == protocol.digest
    assert protocol.model_copy(update={'align_corners': False}).digest != protocol.digest
    assert protocol.model_copy(update={'version': 9}).digest != protocol.digest


def test_references(tmp_path):
    assert P.load_inference('camvid@1').ref == 'camvid@1'
    with pytest.raises(UnknownNameError, match='did you mean synthia16_avg'):
        P.load_scoring('synthia16_avgg')
    with pytest.raises(BenchError, match=r'camvid@7.*current version is camvid@1'):
        P.load_inference('camvid@7')
    with pytest.raises(BenchError, match='protocol reference'):
        P.load_inference('camvid@one')


def write(folder, kind, **fields):
    path = folder / kind / f'{fields["id"]}.yaml'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(fields))


INFERENCE = dict(id='x', version=1, title='t', size=None, resize=None, align_corners=True)


@pytest.mark.parametrize(
    'change, message',
    [
        (dict(scale=[1.0]), 'did you mean scales'),
        (dict(flip=True), 'fuse is needed'),
        (dict(fuse='softmax'), 'fuse is needed'),
        (dict(size=[8, 4]), 'resize is needed'),
        (dict(resize=dict(lib='cv2', mode='bilinear', antialias=True)), 'anti-aliased'),
        (dict(align_corners='maybe'), 'align_corners'),
        (dict(id='y'), 'unknown inference protocol'),
    ],
)
def test_a_bad_inference_protocol_is_refused(tmp_path, change, message):
    write(tmp_path, 'inference', **(INFERENCE | change))
    with pytest.raises(BenchError, match=message):
        P.load_inference('x', tmp_path)


@pytest.mark.parametrize(
    'change, message',
    [
        (dict(classes=['b', 'z']), 'not labels of s: z'),
        (dict(parent=['a']), "'masked' convention"),
        (dict(convention='mean'), 'convention'),
    ],
)
def test_a_bad_scoring_protocol_is_refused(tmp_path, change, message):
    fields = dict(id='x', version=1, title='t', label_space='s', labels=['a', 'b'])
    write(tmp_path, 'scoring', **(fields | change))
    with pytest.raises(BenchError, match=message):
        P.load_scoring('x', tmp_path)


def test_hcl_sees_two_scales_with_flip():
    views = P.load_inference('hcl_msflip').views((2048, 1024))
    assert [(view.size, view.flip) for view in views] == [
        ((1024, 512), False),
        ((1024, 512), True),
        ((1229, 614), False),
        ((1229, 614), True),
    ]


def test_input_sizes():
    assert P.load_inference('pocket').input_size((256, 128)) == (256, 128)
    assert P.load_inference('acdc_daformer').input_size((1920, 1080)) == (960, 540)
    large = P.load_inference('dt_st_1536')
    assert large.input_size((2048, 1024), 'gta5_to_cityscapes') == (1536, 768)
    assert large.input_size((2048, 1024), 'synthia_to_cityscapes') == (1280, 640)


def test_sizes_are_rounded_as_the_authors_round_them():
    """CRST cuts off, HCL rounds, mmcv adds a half: 0.9 of 2048x1024 and 1.2 of it."""
    native = (2048, 1024)
    crst = P.load_inference('crst_test_0912f')
    assert crst.sizes(native) == [(1843, 921), (2048, 1024), (2457, 1228)]
    rounded = crst.model_copy(update={'rounding': 'round'})
    assert rounded.sizes(native) == [(1843, 922), (2048, 1024), (2458, 1229)]
    cotta = P.load_inference('ctta_960_slide_14views')
    assert cotta.sizes((1920, 1080))[:2] == [(480, 270), (720, 405)]
    assert P.load_inference('simt_2scales').sizes(native) == [(1024, 512), (1280, 640)]


def test_labels_are_scored_at_native_size_unless_a_protocol_says_so():
    half = {name for name in P.names('inference') if P.load_inference(name).score_at != 'native'}
    assert half == {'urma_1024_halfgt', 'ocl_1024_flip_halfgt'}


def test_a_field_that_came_later_leaves_older_hashes_alone():
    protocol = P.load_inference('daformer')
    for name in protocol.later:
        assert getattr(protocol, name) == type(protocol).model_fields[name].default
    changed = protocol.model_copy(update={'upsample_steps': 1})
    assert changed.digest != protocol.digest


def test_a_mean_of_conditions_is_no_mean_of_pixels():
    counts = random_counts(6)
    tags = ['fog'] * 4 + ['night'] * 2
    protocol = P.load_scoring('acdc19_mean_of_conditions')
    found = score(counts, tags, protocol)
    parts = [
        100 * mean_iou(counts[[tag == name for tag in tags]].sum(0, dtype=np.int64))
        for name in ('fog', 'night')
    ]
    assert found.miou == pytest.approx(sum(parts) / 2)
    assert found.miou != pytest.approx(score(counts, tags, P.load_scoring('acdc19')).miou)


def test_class_lists_agree_with_the_label_tables():
    for name in P.names('scoring'):
        protocol = P.load_scoring(name)
        space = CAMVID_CLASSES if protocol.label_space == 'camvid11' else CITYSCAPES_CLASSES
        assert protocol.labels == space
    assert tuple(P.load_scoring('synthia16_avg').indices) == SYNTHIA16
    assert tuple(P.load_scoring('synthia16_masked').kept_rows) == SYNTHIA16
    assert tuple(P.load_scoring('synthia13_recomputed').indices) == SYNTHIA13
    assert tuple(P.load_scoring('synthia13_masked16').kept_rows) == SYNTHIA16


def by_hand(counts, name):
    """The four conventions written out on the summed matrix, without the library's own steps."""
    total = counts.sum(0).astype(np.float64)
    subset = SYNTHIA13 if '13' in name else SYNTHIA16
    rows = {'masked': subset, 'masked16': SYNTHIA16, 'recomputed': subset}.get(
        name.split('_')[1], range(19)
    )
    columns = [*subset, 19] if 'recomputed' in name else range(20)
    values = []
    for c in subset:
        tp = total[c, c]
        fn = sum(total[c, j] for j in columns) - tp
        fp = sum(total[i, c] for i in rows) - tp
        values.append(tp / (tp + fn + fp))
    return 100 * np.mean(values)


def test_synthia_conventions_differ_on_the_same_counts():
    counts = random_counts()
    names = [name for name in P.names('scoring') if name.startswith('synthia')]
    values = {name: score(counts, None, P.load_scoring(name)).miou for name in names}
    for name, value in values.items():
        assert value == pytest.approx(by_hand(counts, name), abs=1e-9), name
    assert len({round(value, 3) for value in values.values()}) == len(names) == 5
    assert values['synthia16_masked'] > values['synthia16_avg']
    assert values['synthia13_recomputed'] > values['synthia13_masked16'] > values['synthia13_avg']


def test_19_over_16_holds_only_while_the_absent_classes_score_zero():
    counts = random_counts()
    absent = [9, 14, 16]
    counts[:, absent, absent] = 0
    sixteen = score(counts, None, P.load_scoring('synthia16_avg')).miou
    nineteen = score(counts, None, P.load_scoring('cityscapes19')).miou
    assert sixteen == pytest.approx(nineteen * 19 / 16)
    counts[:, absent, :] = 0
    counts[:, :, absent] = 0  # a subset without these classes: NaN, and the divisor becomes 16
    sixteen = score(counts, None, P.load_scoring('synthia16_avg')).miou
    nineteen = score(counts, None, P.load_scoring('cityscapes19')).miou
    assert sixteen == pytest.approx(nineteen)


def test_void_predictions_are_errors_under_every_convention():
    clean = random_counts()
    void = clean.copy()
    moved = void[:, :, :19].copy()
    moved[:, range(19), range(19)] //= 2
    void[:, :, 19] += void[:, range(19), range(19)] - moved[:, range(19), range(19)]
    void[:, :, :19] = moved
    for name in P.names('scoring'):
        protocol = P.load_scoring(name)
        if protocol.label_space == 'cityscapes19':
            tags = ['fog'] * 3 + ['snow'] * 3
            assert score(void, tags, protocol).miou < score(clean, tags, protocol).miou - 10


def test_absent_classes_are_reported():
    counts = random_counts()
    counts[:, 16, :] = 0
    scores = score(counts, None, P.load_scoring('cityscapes19'))
    assert scores.absent == ('train',) and scores.per_class['train'] == 0  # still predicted
    counts[:, :, 16] = 0
    scores = score(counts, None, P.load_scoring('cityscapes19'))
    assert scores.per_class['train'] is None
    assert scores.miou == pytest.approx(100 * mean_iou(counts.sum(0)))


def test_acdc_is_scored_over_all_pixels_and_by_condition():
    counts = random_counts(8)
    counts[:2] *= 50
    tags = ['fog', 'fog', 'night', 'night', 'rain', 'rain', 'snow', 'snow']
    scores = score(counts, tags, P.load_scoring('acdc19'))
    assert list(scores.per_condition) == ['fog', 'night', 'rain', 'snow']
    assert scores.per_condition['night'] == pytest.approx(100 * mean_iou(counts[2:4].sum(0)))
    assert scores.miou == pytest.approx(100 * mean_iou(counts.sum(0)))
    assert scores.miou != pytest.approx(np.mean(list(scores.per_condition.values())), abs=1e-3)
    rain = scores.per_condition_class['rain']['car']
    assert rain == pytest.approx(100 * iou(counts[4:6].sum(0))[13])
    assert score(counts, tags, P.load_scoring('cityscapes19')).per_condition == {}


def test_record_fields_fit_the_record():
    from sfda_bench.store.record import Scores

    scores = score(random_counts(), None, P.load_scoring('cityscapes19'))
    assert Scores(**scores.record_fields()).images == 6


def test_counts_of_another_label_space_are_refused():
    with pytest.raises(BenchError, match='label space camvid11'):
        score(random_counts(), None, P.load_scoring('camvid11'))
    with pytest.raises(BenchError, match='one an image'):
        score(random_counts(), ['fog'], P.load_scoring('acdc19'))
    with pytest.raises(BenchError, match='images, K, K'):
        score(random_counts()[0], None, P.load_scoring('acdc19'))
