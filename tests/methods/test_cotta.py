"""CoTTA: cases A, B, I, K and L of its sheet, boundaries, restoring, resuming, what stays."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import log_softmax

from sfda_bench.adapt.losses import weighted_cross_entropy
from sfda_bench.errors import BenchError
from sfda_bench.methods.cotta import adapter as module
from sfda_bench.methods.cotta.views import mixed_labels, view_of, window_places, windowed
from tests.methods.online_cases import flat, frame, online, saved_and_loaded, state

X1 = torch.tensor([[[2, 0.2], [0.1, -1]], [[0, 1.5], [0.3, -0.5]]])
X2 = torch.tensor([[[0.4, -0.3], [1.2, 0]], [[0.6, 0.9], [-0.2, -2]]])
Y1, Y2 = [[0, 1], [1, 2]], [[1, 1], [0, 2]]
#: Of the student after X1: norm weight and bias, classifier weight and bias.
AFTER_X1 = [1.01, 1.01, -0.01, 0.01, 1.01, -0.01, -0.01, 1.01, -1.01, -1.01, -0.01, 0.01, 0.49]
SOURCE = [1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, -1.0, -1.0, 0.0, 0.0, 0.5]


def parameters(network) -> list[float]:
    return flat(*(value for _, value in network.named_parameters()))


@pytest.fixture
def views(monkeypatch):
    """The views of the cases: pixels shifted and scaled, not resized."""

    def shifted(images, scale, mirrored):
        found = scale * images + 0.1 * (scale - 1.0)
        return found.flip(3) if mirrored else found

    monkeypatch.setattr(module, 'view_of', shifted)


def ready(restore: float = 0.0, **changes):
    return online('cotta', optimizer={'lr': 0.01}, restore=restore, **changes)


def labels(samples) -> list:
    return samples[0].pred_sem_seg.data[0].tolist()


def close(found, expected, digits: float = 1e-6) -> None:
    assert np.allclose(found, expected, rtol=0, atol=digits), (found, expected)


def test_case_a_a_pixel_at_the_threshold_takes_the_average():
    ones = torch.ones(1, 1, 3, dtype=torch.int64)
    found = mixed_labels(torch.tensor([[[0.70, 0.69, 0.50]]]), ones, 2 * ones, 0.69)
    assert found.tolist() == [[[1, 2, 2]]] and found.dtype == torch.int64


def test_case_b_confidence_of_the_source(views):
    model, _ = ready()
    model.label_size = (2, 2)
    for image, expected in (
        (X1, [0.857975, 0.746413, 0.379152, 0.883491]),
        (X2, [0.464769, 0.599133, 0.699651, 0.914750]),
    ):
        close(flat(model.probabilities(model.source, image[None]).amax(dim=1)), expected)


def test_case_b_one_image(views):
    model, wrapper = ready()
    assert labels(model.adapt_step(frame(X1), wrapper)) == Y1
    close(parameters(model.student), AFTER_X1)
    close(parameters(model.teacher), 0.999 * np.array(SOURCE) + 0.001 * np.array(AFTER_X1))
    assert parameters(model.source) == SOURCE


def test_case_b_two_images_of_a_condition(views):
    model, wrapper = ready()
    assert labels(model.adapt_step(frame(X1), wrapper)) == Y1
    assert labels(model.adapt_step(frame(X2), wrapper)) == Y2
    student = [
        1.0199449, 1.0199549, -0.0124836, 0.0200069, 1.0200069, -0.0198725, -0.0193476, 1.0200049,
        -1.0197246, -1.0197061, -0.0198512, 0.0200105, 0.4800896,
    ]  # fmt: skip
    teacher = [
        1.0000299, 1.00003, -2.25e-5, 3e-5, 1.00003, -2.99e-5, -2.93e-5, 1.00003, -1.0000298,
        -1.0000297, -2.98e-5, 3e-5, 0.4999701,
    ]  # fmt: skip
    close(parameters(model.student), student)
    close(parameters(model.teacher), teacher, 2e-7)  # float32


@pytest.mark.parametrize('second', [('night', 1), ('fog', 2)])
def test_case_b_a_boundary_begins_a_new_optimiser(views, second):
    model, wrapper = ready()
    model.adapt_step(frame(X1, 'fog'), wrapper)
    model.adapt_step(frame(X2, *second), wrapper)
    expected = 2 * np.array(AFTER_X1) - np.array(SOURCE)
    expected[2] = 0.0
    close(parameters(model.student), expected)
    same, wrapper = ready(optimizer_reset='never')
    same.adapt_step(frame(X1, 'fog'), wrapper)
    same.adapt_step(frame(X2, *second), wrapper)
    close(parameters(same.student)[2], -0.0124836)


def test_case_b_restoring_comes_after_the_average(views, monkeypatch):
    """Element 0 of each tensor returns; the teacher has averaged the student as it was."""

    def first(parameters, source, probability, generator):
        for own, origin in zip(parameters, source, strict=True):
            own.view(-1)[0] = origin.view(-1)[0]

    monkeypatch.setattr('sfda_bench.adapt.online.restore_at_random', first)
    model, wrapper = ready(restore=0.01)
    model.adapt_step(frame(X1), wrapper)
    expected = np.array(AFTER_X1)
    expected[[0, 2, 4, 10]] = 1, 0, 1, 0
    close(parameters(model.student), expected)
    close(parameters(model.teacher), 0.999 * np.array(SOURCE) + 0.001 * np.array(AFTER_X1))


def test_case_i_windows():
    assert [len(window_places(s, 1024, 768)) for s in ((270, 480), (405, 720), (540, 960))] == [
        1
    ] * 3
    found = {}
    for height, width in ((675, 1200), (810, 1440), (945, 1680), (1080, 1920)):
        places = window_places((height, width), 1024, 768)
        rows = sorted({(r.start, r.stop) for r, _ in places})
        columns = sorted({(c.start, c.stop) for _, c in places})
        assert len(places) == len(rows) * len(columns)
        found[width] = (columns, rows)
    assert found == {
        1200: ([(0, 1024), (176, 1200)], [(0, 675)]),
        1440: ([(0, 1024), (416, 1440)], [(0, 810)]),
        1680: ([(0, 1024), (656, 1680)], [(0, 945)]),
        1920: ([(0, 1024), (768, 1792), (896, 1920)], [(0, 1024), (56, 1080)]),
    }


def test_windows_average_where_they_overlap_and_views_round_half_up():
    images = torch.arange(20.0).view(1, 1, 4, 5)
    calls = iter((0.0, 3.0))
    found = windowed(lambda part: part + next(calls), images, 4, 3)
    added = (found - images)[0, 0, 0].tolist()
    assert added == [0.0, 1.5, 1.5, 1.5, 3.0]
    assert view_of(torch.zeros(1, 3, 270, 30), 0.75, False).shape == (1, 3, 203, 23)
    assert torch.equal(view_of(images, 1.0, True), images.flip(3))


def test_case_k_the_loss_is_taken_at_the_label_size():
    logits = torch.tensor([[[[2.0, -1.0]], [[0.0, 1.0]]]])
    target = torch.tensor([[[0, 0, 1, 1], [0, 1, 1, 1]]])
    model, _ = ready()
    model.label_size, model.labels = (2, 4), target
    found = model.objective(torch.zeros(1), logits)
    assert found.keys() == {'loss_seg'}
    close(float(found['loss_seg']), 0.345095)


def test_case_l_labels_are_hard():
    student, teacher = torch.tensor([1.0, 0.0, -1.0]), torch.tensor([2.0, 1.0, 0.0])
    hard = weighted_cross_entropy(student.view(1, 3, 1, 1), teacher.argmax().view(1, 1, 1))
    close(float(hard), 0.407606)
    soft = -(teacher.softmax(0) * log_softmax(student, 0)).sum()
    close(float(soft), 0.832396)


def test_buffers_and_source_stay_and_restoring_repeats_itself():
    results = []
    for _ in range(2):
        model, wrapper = online('cotta', optimizer={'lr': 0.01}, restore=0.5)
        before = state(model)
        for image in (X1, X2, X1):
            model.adapt_step(frame(image), wrapper)
        for network in (model.student, model.teacher, model.source):
            for name, value in network.named_buffers():
                assert torch.equal(value, before[name])
        assert parameters(model.source) == SOURCE
        assert not model.student.backbone.training
        results.append(parameters(model.student))
    assert results[0] == results[1]


@pytest.mark.parametrize('method', ['cotta', 'cotta_plain', 'cotta_continual'])
def test_a_stream_that_is_taken_up_again_goes_on_as_it_would_have(method):
    model, wrapper = online(method, optimizer={'lr': 0.01}, restore=0.5)
    model.adapt_step(frame(X1, 'fog'), wrapper)
    again, other = saved_and_loaded(model, wrapper)
    for image, condition in ((X2, 'fog'), (X1, 'night'), (X2, 'night')):
        first = labels(model.adapt_step(frame(image, condition), wrapper))
        assert labels(again.adapt_step(frame(image, condition), other)) == first
    for name in ('student', 'teacher', 'source'):
        assert parameters(getattr(again, name)) == parameters(getattr(model, name))


def test_one_view_needs_no_source_model_and_is_the_teacher_alone():
    model, wrapper = online('cotta_plain', optimizer={'lr': 0.01})
    assert model.views == [(1.0, False)]
    model.source.decode_head.bias.data.fill_(float('nan'))
    assert labels(model.adapt_step(frame(X1), wrapper)) == [[0, 1], [1, 2]]


def test_what_it_cannot_do():
    for change in (
        {'predict': 'after'},
        {'predict_on': 'student'},
        {'scales': [0.5]},
        {'averaging': {}},
    ):
        with pytest.raises(BenchError):
            online('cotta', **change)
    model, wrapper = ready()
    data = frame(X1)
    data['data_samples'] *= 2
    with pytest.raises(BenchError, match='batch_size=1'):
        model.adapt_step(data, wrapper)


def in_views(model, image, change=lambda view: view) -> dict:
    """A batch of :class:`CoTTAFileViews`: every view of an image, as a pipeline collates them."""
    frames = [
        frame(change(view_of(image[None], scale, mirrored)[0])) for scale, mirrored in model.views
    ]
    for one in frames:
        one['data_samples'][0].set_metainfo({'ori_shape': tuple(image.shape[-2:])})
    return {key: [one[key] for one in frames] for key in frames[0]}


def test_views_that_are_given_are_taken_as_they_are():
    images = torch.randn(2, 2, 6, 8, generator=torch.Generator().manual_seed(3)) * 2
    changes = {'scales': [0.5, 1.0, 2.0], 'threshold': 0.9}
    made, wrapper = ready(**changes)
    given, other = ready(type='CoTTAFileViews', **changes)
    finer, third = ready(type='CoTTAFileViews', **changes)
    seen = []
    for image in images:
        plain = labels(made.adapt_step(frame(image), wrapper))
        assert labels(given.adapt_step(in_views(given, image), other)) == plain
        more = in_views(finer, image, lambda view: view.flip(1) if view.shape[-1] > 8 else view)
        seen.append(labels(finer.adapt_step(more, third)) == plain)
        assert given.given == {}, 'a checkpoint holds no image'
    assert parameters(made.student) == parameters(given.student)
    assert not all(seen), 'the larger views count'


def test_another_number_of_views_is_refused():
    model, wrapper = ready(type='CoTTAFileViews', scales=[1.0, 2.0])
    batch = in_views(model, X1)
    with pytest.raises(BenchError, match='3 views of an image'):
        model.adapt_step({key: value[:3] for key, value in batch.items()}, wrapper)
