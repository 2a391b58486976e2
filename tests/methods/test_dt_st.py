"""DT-ST: the cases of its sheet (values of the authors' functions), its hooks and its list."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from sfda_bench.adapt.hooks import Driver
from sfda_bench.adapt.losses import WeightedCrossEntropyLoss
from sfda_bench.adapt.mean_teacher import update_average
from sfda_bench.errors import BenchError, DataError
from sfda_bench.methods.dt_st.candidate_hook import CandidatePasteHook
from sfda_bench.methods.dt_st.candidates import (
    Candidates,
    balanced_order,
    class_probabilities,
    confidence_thresholds,
    consistency,
    consistency_thresholds,
    overlap_counts,
    rank_at,
    sure_labels,
    without_classes,
)
from sfda_bench.methods.dt_st.hooks import DynamicTeacherHook, is_due
from sfda_bench.methods.dt_st.labels import Window, discounted_labels, updated_shares, warped
from sfda_bench.methods.dt_st.losses import NegativeLabelLoss
from sfda_bench.methods.dt_st.pasting import companions, paste_pieces, pieces
from sfda_bench.methods.dt_st.scores import confidence_score, score_of
from sfda_bench.methods.dt_st.views import TeacherStudentViews
from sfda_bench.plan.configs import schedulers
from sfda_bench.plan.method import Method
from tests.methods.helpers import losses_of, perturb, plain

RULE = dict(floor=0.2, share=0.8, discount=0.001)
P = torch.tensor(
    [[[[0.90, 0.60], [0.30, 0.05]], [[0.08, 0.38], [0.65, 0.15]], [[0.02, 0.02], [0.05, 0.80]]]]
)


def row(*p0: float, rest: tuple[float, ...] = ()) -> torch.Tensor:
    """Pixels whose class 0 has these probabilities and class 1 the rest."""
    values = torch.tensor([list(p0), [1 - v for v in p0], [0.0] * len(p0)])
    return values.view(1, 3, 1, -1)


# --- labels: case A -----------------------------------------------------------------------------


def test_case_a_shares_and_labels():
    start = torch.full((3,), 0.001)
    shares = updated_shares(start, P.mean(dim=(0, 2, 3)), 0.001, 0.9)
    assert shares.tolist() == pytest.approx([0.4625, 0.315, 0.2225], abs=1e-6)
    assert discounted_labels(P, shares, **RULE).tolist() == [[[0, 255], [1, 2]]]
    after = updated_shares(shares, torch.tensor([0.2, 0.5, 0.3]), 0.001, 0.9)
    assert after.tolist() == pytest.approx([0.43625, 0.3335, 0.23025], abs=1e-6)


@pytest.mark.parametrize(('first', 'expected'), [(0.5, [0, 255, 255, 1]), (0.0001, [0, 0, 0, 1])])
def test_case_a_rare_classes_need_less(first, expected):
    maps = torch.tensor([[0.7, 0.55, 0.4, 0.3], [0.2, 0.25, 0.35, 0.45], [0.1, 0.2, 0.25, 0.25]])
    shares = torch.tensor([first, 0.3, 0.2])
    assert discounted_labels(maps.view(1, 3, 1, 4), shares, **RULE).flatten().tolist() == expected


def test_case_a_equality_is_dropped():
    shares = torch.tensor([0.5, 0.3, 0.2])
    assert discounted_labels(row(1.0, 0.8, 0.79), shares, **RULE).flatten().tolist() == [
        0,
        255,
        255,
    ]
    flat = torch.full((1, 5, 1, 1), 0.2)
    assert int(discounted_labels(flat, torch.full((5,), 0.2), **RULE)) == 255


# --- losses: case B -----------------------------------------------------------------------------

GRADIENT = '-.039051 0 .058222 .218529 .064263 0 .166310 .096896 .029713 .068041 -.136599 -.227492'


def test_case_b_losses_and_gradient():
    student = torch.tensor([[[[2, 0], [0, 1]], [[0, 1], [2, 0]], [[-1, 3], [1, -1]]]]).float()
    student.requires_grad_(True)
    labels = torch.tensor([[[0, 255], [2, 2]]])
    positive = WeightedCrossEntropyLoss()(student, labels)
    negative = NegativeLabelLoss(loss_weight=0.5)(student, probabilities=P)
    assert int((P <= 1 / 3).sum()) == 7
    assert float(positive.detach()) == pytest.approx(0.996264, abs=1e-5)
    assert float(negative.detach()) == pytest.approx(0.576272, abs=1e-5)
    (positive + negative).backward()
    assert float((positive + negative).detach()) == pytest.approx(1.572537, abs=1e-5)
    expected = [float(value) for value in GRADIENT.split()]
    assert student.grad.flatten().tolist() == pytest.approx(expected, abs=1e-5)


def test_the_negative_loss_in_a_plain_head_and_without_pasted_pixels():
    logits = torch.tensor([[[[3.0, 0.0]], [[0.0, 3.0]]]])
    loss = NegativeLabelLoss()
    own = torch.nn.functional.softplus(torch.tensor(0.0))
    assert float(loss(logits, torch.zeros(1, 1, 2).long())) == pytest.approx(float(own))
    p = torch.tensor([[[[0.9, 0.9]], [[0.1, 0.1]]]])
    weight = torch.tensor([[[1.0, 0.0]]])
    assert float(loss(logits, weight=weight, probabilities=p)) == pytest.approx(float(own))


# --- views: case C ------------------------------------------------------------------------------


@pytest.mark.parametrize('mirror', [False, True])
def test_case_c_warp_of_the_logits(mirror):
    maps = torch.arange(32.0).view(1, 4, 8)
    found = warped(maps, Window((6, 12), (1, 2), mirror), (3, 4))[0]
    first = torch.tensor([6.072727, 6.709091, 7.345455, 7.981818])
    expected = torch.stack([first, first + 4.8, first + 9.6])
    assert torch.allclose(found, expected.flip(1) if mirror else expected, atol=1e-5)


def test_the_window_says_where_the_students_view_lies():
    image = np.arange(20 * 40, dtype=np.uint16).reshape(20, 40).astype(np.uint8)
    image = np.repeat(image[:, :, None], 3, axis=2)
    still = dict(blur=0.0, colour=1.0, jitter=0.0, hue=0.0, cutout=0.0)
    step = TeacherStudentViews(base_size=None, crop_size=(8, 16), scale=(1.0, 1.0), **still)
    np.random.seed(0)
    packed = step.transform({'img': image, 'img_path': 'a', 'ori_shape': (20, 40)})
    window = Window.of(packed['student']['data_samples'])
    maps = packed['teacher']['inputs'].float()
    assert torch.equal(warped(maps, window, (8, 16)), packed['student']['inputs'].float())
    labels = packed['student']['data_samples'].gt_sem_seg.data
    assert labels.shape == (1, 8, 16) and bool((labels == 255).all())
    with pytest.raises(BenchError, match='crop'):
        TeacherStudentViews(base_size=None, crop_size=(30, 30), **still).student(image)


def test_the_students_view_changes_and_cut_out_fills_cells():
    image = np.random.default_rng(0).integers(0, 255, (32, 64, 3)).astype(np.uint8)
    step = TeacherStudentViews(
        base_size=None, crop_size=(16, 32), cutout=1.0, cell=8, cell_share=1.0, fill=(1, 2, 3)
    )
    assert np.unique(step.student(image)['img'].reshape(-1, 3), axis=0).tolist() == [[1, 2, 3]]
    grey = TeacherStudentViews(
        base_size=None, crop_size=(16, 32), blur=0.0, colour=0.0, cutout=0.0, scale=(1, 1)
    ).student(image)['img']
    assert np.array_equal(grey[..., 0], grey[..., 1])


# --- the teacher's update: cases D and E --------------------------------------------------------


def test_case_d_scores():
    logits = torch.tensor([[3.0, 0, 0], [0, 3, 0], [0, 2, 2.5]]).t().reshape(1, 3, 1, 3)
    place = torch.arange(3)
    assert float(score_of(logits, place, 'snd')) == pytest.approx(0.001002, abs=1e-6)
    assert float(score_of(logits, place, 'ent')) == pytest.approx(0.535535, abs=1e-5)
    same = torch.ones(1, 5, 10, 10)
    assert float(score_of(same, torch.arange(100), 'snd')) == pytest.approx(4.604171, abs=1e-5)


@pytest.mark.parametrize(
    ('p', 'expected'),
    [(1.0, 1.0), (0.9, 0.726394), (0.5, 0.0), (0.3679, -0.061476), (0.2, 0.071229)],
)
def test_case_d_ent_of_one_pixel(p, expected):
    assert float(confidence_score(torch.tensor([[p, 0.0]]))) == pytest.approx(expected, abs=1e-5)


class Pair(torch.nn.Module):
    """A model with a teacher, whose student scores what the test says."""

    def __init__(self) -> None:
        super().__init__()
        self.student = torch.nn.Linear(1, 1, bias=False)
        self.teacher = torch.nn.Linear(1, 1, bias=False)

    def averaged(self):
        return [(self.teacher, self.student)]


@pytest.mark.parametrize(('better_from', 'expected'), [(1, 9), (10, 12), (13, 15), (None, 33)])
def test_case_e_intervals(monkeypatch, better_from, expected):
    """From a number of stored batches on, the student scores higher on all of them."""
    monkeypatch.setattr('sfda_bench.methods.dt_st.hooks.score_of', lambda z, *_: z.mean())
    model, number = Pair(), 0

    def logits(self, runner, images):
        now = len(self.stored) if comparing else 0
        rises = better_from is not None and now >= better_from
        return torch.full((1, 2, 2, 2), 2.0 if comparing and rises else 1.0)

    monkeypatch.setattr(DynamicTeacherHook, 'scored_logits', logits)
    driver = Driver(model, [{'type': 'DynamicTeacherHook'}])
    hook = driver.hooks[0]
    while not hook.updates:
        comparing = False
        driver.before({'inputs': torch.zeros(1, 3, 2, 2), 'data_samples': None})
        comparing = True
        driver.after()
        number += 1
    assert number == expected
    assert not hook.stored


def test_case_e_due_and_average():
    assert [n for n in range(34) if is_due(n)] == [9, 12, 15, 18, 21, 24, 27, 30, 33]
    model = Pair()
    torch.nn.init.constant_(model.teacher.weight, 1.0)
    torch.nn.init.constant_(model.student.weight, 2.0)
    for expected in (1.01, 1.0199):
        update_average(model.teacher, model.student, 0.99, 'skip')
        assert float(model.teacher.weight.detach()) == pytest.approx(expected, abs=1e-6)


def test_without_dynamic_the_teacher_is_averaged_at_every_twelfth_iteration():
    model = Pair()
    driver = Driver(model, [{'type': 'DynamicTeacherHook', 'dynamic': False}])
    for _ in range(25):
        driver.before()
        driver.after()
    assert driver.hooks[0].updates == 3  # iterations 0, 12 and 24


# --- case F -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('step', 'expected'),
    [(0, 2.5e-4), (5000, 2.319258e-4), (10000, 2.136935e-4), (19999, 1.766881e-4)],
)
def test_case_f_rates(step, expected):
    stage = Method('dt_st').stages('paper', 'gta5_to_cityscapes', {})[1]
    [poly] = schedulers(stage['param_scheduler'], stage['iters'])
    horizon = poly['end'] - 1
    rate = stage['optim_wrapper']['optimizer']['lr'] * (1 - step / horizon) ** poly['power']
    assert rate == pytest.approx(expected, rel=1e-5)
    assert stage['iters'] == 20000


# --- candidates: cases G, H and I ---------------------------------------------------------------


def test_case_g_the_void_of_a_reference_does_not_leak():
    found = np.array([[0, 1], [2, 1]], np.uint8)
    overlap_counts(found, np.array([[0, 255], [2, 255]], np.uint8), 3)
    assert found.tolist() == [[0, 1], [2, 1]]
    both, union = overlap_counts(found, np.array([[0, 255], [1, 1]], np.uint8), 3)
    assert both.tolist() == [1, 1, 0] and union.tolist() == [1, 2, 1]


def rows_of(*labels: int) -> np.ndarray:
    return np.repeat(np.array(labels, np.uint8)[:, None], 8, axis=1)


def last_rows(split: int) -> np.ndarray:
    maps = rows_of(0, 0, 1, 1)
    maps[2:, split:] = 2
    return maps


def test_case_h_a_later_pass():
    half, more = rows_of(0, 0, 1, 1), rows_of(0, 0, 0, 1)
    before = [half, half, more, last_rows(4)]
    after = [half, more, half, last_rows(6)]
    scores = np.stack([consistency(a, b, 3) for a, b in zip(after, before, strict=True)])
    expected = [[1, 1, 0], [2 / 3, 0.5, 0], [2 / 3, 0.5, 0], [1, 2 / 3, 0.5]]
    assert np.allclose(scores, expected, atol=1e-5)
    thresholds = consistency_thresholds(scores)
    assert thresholds.tolist() == pytest.approx([1, 0.666667, 0.5], abs=1e-5)
    kept = [
        int((without_classes(a, s < thresholds) != 255).sum())
        for a, s in zip(after, scores, strict=True)
    ]
    assert kept == [32, 0, 0, 32]


def test_case_h_the_index_rule():
    ranks = {1: 0, 2: 1, 3: 2, 4: 2, 5: 2, 6: 3, 7: 4, 11: 6}
    assert {n: rank_at(n) for n in ranks} == ranks


def test_the_first_pass_keeps_the_confident_half_of_each_class():
    labels = np.array([[0, 0, 0, 0, 1, 1]], np.uint8)
    confidence = np.array([[0.9, 0.5, 0.7, 0.6, 0.3, 0.4]], np.float32)
    values = [confidence[labels == k] for k in range(3)]
    thresholds = confidence_thresholds(values)
    assert thresholds.tolist() == pytest.approx([0.7, 0.4, np.inf])
    assert sure_labels(labels, confidence, thresholds).tolist() == [[0, 255, 0, 255, 255, 1]]


@pytest.mark.parametrize(
    ('counts', 'expected'),
    [
        ((0, 0, 0), (1 / 3, 1 / 3, 1 / 3)),
        ((2, 1, 0), (0.018285, 0.032017, 0.949698)),
        ((10, 5, 1), (0.102217, 0.179785, 0.717997)),
    ],
)
def test_case_i_class_probabilities(counts, expected):
    assert class_probabilities(np.array(counts)).tolist() == pytest.approx(expected, abs=1e-6)


def test_the_list_favours_images_of_rare_classes():
    contained = np.zeros((100, 3), bool)
    contained[:, 0], contained[:4, 1], contained[7, 2] = True, True, True
    order = balanced_order(contained, np.random.default_rng(0), parts=4, part=50)
    assert len(order) == 200
    share = np.mean([contained[i, 1] for i in order])
    assert share > 0.3  # 4 of 100 images; class 2, of one image, is passed over
    again = balanced_order(contained, np.random.default_rng(0), parts=4, part=50)
    assert order == again


def test_case_i_classes_to_paste_are_drawn_uniformly(tmp_path):
    """The rates of the paper, .1233 to .1258 for eight classes, never reach the code's workers."""
    candidates = written(tmp_path, classes_held=(4, 5, 12))
    hook = CandidatePasteHook(str(tmp_path / 'candidates'), input_size=None)
    drawn: list[int] = []
    for number in range(300):
        target = np.full((64, 64), 255, np.int64)
        image = np.zeros((64, 64, 3), np.uint8)
        hook.paste(candidates, image, target, np.random.default_rng(number))
        drawn += [int(v) for v in np.unique(target) if v != 255][:1]
    shares = np.bincount(drawn, minlength=13)[[4, 5, 12]] / len(drawn)
    assert np.allclose(shares, 1 / 3, atol=0.1)


# --- pasting: case J ----------------------------------------------------------------------------


class Least:
    """Random numbers at their minimum, or scales at their maximum."""

    def __init__(self, top: bool) -> None:
        self.top = top

    def uniform(self, low: float, high: float) -> float:
        return high if self.top else low

    def integers(self, high: int) -> int:
        return 0


@pytest.mark.parametrize(('top', 'areas'), [(False, (100, 80)), (True, (625, 500))])
def test_case_j_objects_with_their_companions(top, areas):
    labels = np.zeros((100, 100), np.uint8)
    labels[10:20, 10:20], labels[20:28, 10:20] = 12, 17
    labels[40:44, 40:44], labels[60:70, 60:70] = 12, 12
    raw = np.repeat(labels[:, :, None], 3, axis=2)
    image, target = np.zeros((64, 64, 3), np.uint8), np.full((64, 64), 255)
    paste_pieces(image, target, pieces(raw, labels, 17, 19), 17, Least(top))
    assert (int((target == 12).sum()), int((target == 17).sum())) == areas
    assert int((target != 255).sum()) == sum(areas)
    if not top:
        assert (target[:10, :10] == 12).all() and (target[10:18, :10] == 17).all()
    assert np.array_equal(image[..., 0][target != 255], target[target != 255])


def test_companions():
    assert companions(19) == {12: (17, 18), 17: (12,), 18: (12,), 5: (6, 7), 6: (5,), 7: (5,)}
    assert companions(16)[11] == (14, 15)


def test_an_object_without_the_class_goes_into_the_box_of_a_single_class():
    labels = np.zeros((100, 100), np.uint8)
    labels[10:20, 10:20], labels[40:45, 40:45] = 17, 12
    image, target = np.zeros((64, 64, 3), np.uint8), np.full((64, 64), 255)
    raw = np.repeat(labels[:, :, None], 3, axis=2)
    paste_pieces(image, target, pieces(raw, labels, 17, 19), 17, Least(False))
    assert (target[:5, :5] == 12).all() and int((target == 17).sum()) == 75


# --- case K -------------------------------------------------------------------------------------


def test_case_k_frozen_batch_norm():
    layer = torch.nn.BatchNorm2d(1).eval()
    layer.running_mean.fill_(2.0)
    layer.running_var.fill_(4.0)
    torch.nn.init.constant_(layer.weight, 3.0)
    torch.nn.init.constant_(layer.bias, 1.0)
    six = torch.full((1, 1, 1, 1), 6.0)
    assert float(layer(six)) == pytest.approx(6.9999925, abs=1e-6)  # ours: the card says so
    layer.eps = 0.0
    assert float(layer(six)) == 7.0


# --- the adapter with its hooks -----------------------------------------------------------------


def adapter(**kwargs):
    return plain('DTST', losses=losses_of('dt_st'), **kwargs).train()


def batch(paste: bool = True) -> tuple[dict, dict]:
    generator = torch.Generator().manual_seed(3)
    whole = torch.randn(2, 3, 48, 96, generator=generator)
    samples = []
    for _ in range(2):
        labels = torch.full((1, 32, 64), 255)
        labels[:, :4, :4] = 7 if paste else 255
        sample = SegDataSample(gt_sem_seg=PixelData(data=labels))
        sample.set_metainfo({'scaled': (40, 80), 'corner': (5, 3), 'mirror': True})
        samples.append(sample)
    student = torch.randn(2, 3, 32, 64, generator=generator)
    return {'teacher': whole, 'student': student}, {'teacher': None, 'student': samples}


def test_the_student_learns_warped_labels_and_what_is_pasted():
    model = adapter()
    perturb(model.student, 1)
    inputs, samples = batch()
    seen = {}
    loss = model.terms['seg']
    model.terms['seg'].register_forward_pre_hook(lambda m, a: seen.update(labels=a[1]))
    losses = model.loss(inputs, samples)
    assert set(losses) == {'loss_seg', 'loss_negative'} and loss is model.terms['seg']
    assert (seen['labels'][:, :4, :4] == 7).all()
    with torch.no_grad():
        p = model.teacher_logits(inputs['teacher'], (48, 96))
        large = torch.nn.functional.interpolate(p, (40, 80), mode='bilinear', align_corners=True)
        view = large[:, :, 5:37, 3:67].flip(3).softmax(dim=1)
        expected = discounted_labels(view, p.softmax(dim=1).mean(dim=(0, 2, 3)), **RULE)
    assert torch.equal(seen['labels'][:, 8:], expected[:, 8:])
    assert torch.allclose(model.shares, p.softmax(dim=1).mean(dim=(0, 2, 3)))


def test_what_is_frozen_and_what_predicts():
    model = adapter()
    sum(model.loss(*batch()).values()).backward()
    norms = [m for m in model.student.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert norms and all(not m.training and m.weight.grad is None for m in norms)
    assert all(p.grad is None for p in model.teacher.parameters())
    assert model.export_module() is model.teacher
    buffers = [b.clone() for b in model.student.buffers()]
    model.loss(*batch())
    assert all(torch.equal(a, b) for a, b in zip(buffers, model.student.buffers(), strict=True))


def test_the_teacher_stays_until_the_first_update():
    model = adapter()
    driver = Driver(model, [{'type': 'DynamicTeacherHook', 'first': 2, 'every': 1, 'longest': 1}])
    data = {'inputs': torch.rand(2, 3, 48, 96) * 255, 'data_samples': None}
    driver.before(data)
    before = {k: v.clone() for k, v in model.teacher.state_dict().items()}
    perturb(model.student, 2)
    driver.after(data)
    assert all(torch.equal(before[k], v) for k, v in model.teacher.state_dict().items())
    driver.before(data)
    driver.after(data)  # two stored, more than one: forced
    key = 'decode_head.branches.0.weight'
    name = key if key in before else next(k for k in before if k.endswith('weight'))
    student = model.student.state_dict()[name]
    expected = before[name] + 0.01 * (student - before[name])
    assert torch.allclose(model.teacher.state_dict()[name], expected, atol=1e-6)


def test_a_resumed_hook_takes_up_its_batches(tmp_path):
    """From the paths in the checkpoint, by the pipeline's own view."""
    model = adapter()
    hook = DynamicTeacherHook()
    images = {f'{i}': np.full((48, 96, 3), 40 * i, np.uint8) for i in range(2)}
    step = SimpleNamespace(teacher_view=images.__getitem__)
    dataset = SimpleNamespace(pipeline=SimpleNamespace(transforms=[step]))
    runner = SimpleNamespace(
        model=model,
        iter=1,
        optim_wrapper=None,
        train_dataloader=SimpleNamespace(dataset=dataset),
    )
    tensors = [torch.from_numpy(images[k].transpose(2, 0, 1).copy()) for k in images]
    samples = [SegDataSample(metainfo={'img_path': key}) for key in images]
    data = {'teacher': {'inputs': tensors, 'data_samples': samples}}
    hook.before_train_iter(runner, 1, data)
    checkpoint: dict = {}
    hook.before_save_checkpoint(runner, checkpoint)
    torch.save(checkpoint, tmp_path / 'c.pth')
    resumed = DynamicTeacherHook()
    resumed.after_load_checkpoint(runner, torch.load(tmp_path / 'c.pth', weights_only=True))
    resumed.before_train_iter(runner, 2, data)
    assert len(resumed.stored) == 2
    one, other = hook.stored[0], resumed.stored[0]
    assert torch.equal(one.images, other.images) and torch.equal(one.score, other.score)
    assert torch.equal(one.positions, other.positions) and other.paths == ['0', '1']


# --- files --------------------------------------------------------------------------------------


def written(folder, classes_held=(12,)) -> Candidates:
    from PIL import Image

    rows = []
    for label in classes_held:
        path = folder / f'image{label}.png'
        Image.fromarray(np.full((40, 60, 3), label, np.uint8)).save(path)
        whole = np.zeros((20, 30), np.uint8)
        whole[5:10, 5:10] = label
        masked = np.where(whole == label, whole, 255).astype(np.uint8)
        rows.append((f'city/{label}', str(path), (40, 60), masked, whole))
    Candidates.write(folder / 'candidates', 19, rows, least=50)
    return Candidates(folder / 'candidates')


def test_candidates_are_read_as_they_were_written(tmp_path):
    candidates = written(tmp_path)
    assert candidates.holders(12) == ['city/12'] and candidates.holders(0) == []
    labels = candidates.read('city/12')
    assert labels.shape == (40, 60) and int((labels == 12).sum()) == 100
    assert (candidates.read('city/12', 'whole') != 255).all()
    with pytest.raises(DataError, match='candidates'):
        Candidates(tmp_path / 'nothing')


def test_the_hook_pastes_in_place_and_repeats_itself(tmp_path):
    written(tmp_path)

    def pasted(iteration: int) -> tuple[torch.Tensor, torch.Tensor]:
        hook = CandidatePasteHook(str(tmp_path / 'candidates'), input_size=None)
        image = torch.zeros(3, 64, 64, dtype=torch.uint8)
        sample = SegDataSample(gt_sem_seg=PixelData(data=torch.full((1, 64, 64), 255)))
        runner = SimpleNamespace(iter=iteration, seed=3, work_dir=str(tmp_path))
        data = {'student': {'inputs': [image], 'data_samples': [sample]}}
        hook.before_train_iter(runner, iteration, data)
        return image, sample.gt_sem_seg.data[0]

    image, labels = pasted(0)
    assert bool((labels == 12).any()) and torch.equal(image[0] == 12, labels == 12)
    assert torch.equal(labels, pasted(0)[1])
    assert not torch.equal(labels, pasted(1)[1])


def test_numbers_of_the_sheet():
    stages = Method('dt_st').stages('paper', 'gta5_to_cityscapes', {})
    adapt = stages[1]
    teacher, paste = adapt['hooks']['teacher'], adapt['hooks']['paste']
    assert (teacher['momentum'], teacher['points'], paste['interval']) == (0.99, 100, 3000)
    assert adapt['batch_size'] == 4 and adapt['pack']['base_size'] == (1536, 768)
    synthia = Method('dt_st').stages('paper', 'synthia_to_cityscapes', {})
    assert synthia[0]['input_size'] == synthia[1]['hooks']['paste']['input_size'] == (1280, 640)
    assert synthia[1]['pack']['crop_size'] == (480, 960)
    base = Method('dt_st').stages('paper', 'gta5_to_cityscapes', {'variant': 'base'})[1]
    assert base['hooks']['teacher']['dynamic'] is False
    assert base['hooks']['paste']['interval'] is None
