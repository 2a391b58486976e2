"""Boundary enhancement against the micro-cases of its spec sheet."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from mmengine.optim import build_optim_wrapper

from sfda_bench.adapt.hooks import Driver
from sfda_bench.adapt.mean_teacher import teacher_momentum, update_average
from sfda_bench.adapt.mixing import paste
from sfda_bench.methods.ldbe.losses import ConfidentImageLoss
from sfda_bench.methods.ldbe.mixing import half_of_own_classes
from sfda_bench.plan.method import Method
from sfda_bench.registry import HOOKS
from tests.harness import Bench
from tests.methods.helpers import hooks_of, plain, stage_of

LABELS = [[[0, 0, 1], [2, 2, 3]], [[4, 4, 4], [5, 5, 6]], [[1, 1, 1], [1, 1, 1]]]
LOGITS = [
    [[[2, 0], [0, 60]], [[0, 1], [2, 0]], [[-1, 3], [1, -1]]],
    [[[1, 0], [0, 1]], [[0, 1], [0, 0]], [[0, 3], [1, 0]]],
]
CONFIDENCE = [[[1, 0.5], [0.97, 0.99]], [[0.2, 0.98], [0.5, 0.1]]]


class One(torch.nn.Module):
    """A parameter and a buffer."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = torch.nn.Parameter(torch.tensor(value))
        self.register_buffer('kept', torch.tensor(value))


def averages(values: list[float]) -> tuple[list[float], One]:
    student, teacher = One(1.0), One(1.0)
    model = SimpleNamespace(averaged=lambda: [(teacher, student)])
    (config,) = hooks_of('ldbe', 'train2').values()
    hook, runner, found = HOOKS.build(config), SimpleNamespace(iter=0, model=model), []
    hook.before_train_iter(runner, 0)
    for value in values:
        with torch.no_grad():
            student.value.fill_(value)
            student.kept.fill_(value)
        runner.iter += 1
        hook.before_train_iter(runner, runner.iter)
        found.append(teacher.value.item())
    return found, teacher


def test_the_teacher_of_case_d():
    found, teacher = averages([2, 3, 4, 5])
    assert found == pytest.approx([2, 2.5, 3, 3.5], abs=1e-5)
    assert teacher.kept.item() == 1.0
    late = One(3.5)
    update_average(late, One(5.0), teacher_momentum(200, 0.99, 'dacs'), 'skip')
    assert late.value.item() == pytest.approx(3.515, abs=1e-5)


def test_mixing_of_case_e():
    labels = torch.tensor(LABELS)
    images = torch.stack([torch.full((1, 2, 3), value) for value in (10.0, 20.0, 30.0)])
    # the last half of the sorted classes
    mask = half_of_own_classes(labels, 7, scores=torch.arange(7.0))
    mixed, found = (paste(mask, maps, maps.roll(-1, dims=0)) for maps in (images, labels))
    assert mixed[:, 0].tolist() == [
        [[20, 20, 20], [10, 10, 10]],
        [[30, 30, 30], [30, 30, 20]],
        [[10, 10, 10], [10, 10, 10]],
    ]
    assert found.tolist() == [
        [[4, 4, 4], [2, 2, 3]],
        [[1, 1, 1], [1, 1, 6]],
        [[0, 0, 1], [2, 2, 3]],
    ]


def test_every_class_is_drawn_as_often():
    torch.manual_seed(0)
    labels = torch.arange(5).repeat(2000, 1)[:, None]
    mask = half_of_own_classes(labels, 19)
    assert (mask.sum(dim=(1, 2)) == 2).all()
    assert mask.float().mean(dim=(0, 1)).tolist() == pytest.approx([0.4] * 5, abs=0.04)


def case_f() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    logits = torch.tensor(LOGITS, dtype=torch.float32, requires_grad=True)
    labels = torch.tensor([[[0, 1], [2, 0]], [[0, 2], [2, 1]]])
    return logits, labels, torch.tensor(CONFIDENCE)


def test_the_loss_of_case_f():
    logits, labels, confidence = case_f()
    pixels = torch.nn.functional.cross_entropy(logits, labels, reduction='none')
    assert pixels.flatten().tolist() == pytest.approx(
        [0.169846, 2.169846, 1.407606, 0, 0.551445, 0.169846, 0.551445, 1.551445], abs=1e-5
    )
    loss = ConfidentImageLoss()
    value = loss(logits, labels, confidence=confidence)
    assert value.item() == pytest.approx(0.502360, abs=1e-5)
    value.backward()
    found = logits.grad[0, :, 0, 0]
    assert found.tolist() == pytest.approx([-0.016736, 0.012235, 0.004501], abs=1e-5)
    unsure = torch.full_like(confidence, 0.96)
    assert loss(logits, labels, confidence=unsure).item() == 0
    sure = torch.zeros(1, 3, 2, 2)
    sure[:, 0] = 200
    nothing = loss(sure, torch.zeros(1, 2, 2, dtype=torch.long))
    assert nothing.item() == 0  # released: 0/0


def test_the_loss_in_a_decode_head():
    logits, labels, _ = case_f()
    labels[0, 0, 0] = 9
    value = ConfidentImageLoss()(logits, labels, ignore_index=9)
    # every image in full: the six pixels that are neither ignored nor certain
    six = [2.169846, 1.407606, 0.551445, 0.169846, 0.551445, 1.551445]
    assert value.item() == pytest.approx(sum(six) / 6, abs=1e-5)


def adapted():
    config = stage_of('ldbe', 'train2')['adapter']
    return plain(config.pop('type'), **config)


def views() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(0, 19, (3, 32, 64), generator=generator)
    labels[:, ::2] = 255
    return {'image': torch.randn(3, 3, 32, 64, generator=generator), 'image_label': labels}


def test_labels_are_completed_by_the_teacher():
    adapter, batch = adapted(), views()
    adapter.train()
    labels, confidence = adapter.completed(batch['image'], batch['image_label'])
    known = batch['image_label'] != 255
    assert torch.equal(labels[known], batch['image_label'][known])
    assert (confidence[known] == 1).all() and (confidence[~known] < 1).all()
    assert int(labels.max()) < 19


def test_the_teacher_is_the_mean_of_the_student_and_never_trained():
    stage, adapter = stage_of('ldbe', 'train2'), adapted()
    wrapper = build_optim_wrapper(adapter, stage['optim_wrapper'])
    driver = Driver(adapter, stage['hooks'])
    frozen = {n: b.clone() for n, b in adapter.teacher.named_buffers() if 'running' in n}
    seen = []
    for _ in range(3):
        driver.before()
        adapter.train()
        losses = adapter.losses(views())
        wrapper.update_params(losses['loss_mixed'])
        driver.after()
        seen.append([p.detach().clone() for p in adapter.student.parameters()])
    driver.before()
    for index, parameter in enumerate(adapter.teacher.parameters()):
        assert not parameter.requires_grad and parameter.grad is None
        mean = torch.stack([step[index] for step in seen]).mean(dim=0)
        assert torch.allclose(parameter, mean, atol=1e-6)
    assert frozen and adapter.export_module() is adapter.student


def test_the_first_rounds_are_the_stages_of_ld(pocket_root, tmp_path):
    bench = Bench(pocket_root, tmp_path)
    stages = {m: bench.plan(m).entries[0].stages[1:-1] for m in ('ld', 'ldbe')}
    assert stages['ldbe'][: len(stages['ld'])] == stages['ld']
    assert len(stages['ldbe']) == 2 * len(stages['ld']) == 12


def test_rounds_of_the_profiles():
    names = {
        profile: [s['name'] for s in Method('ldbe').stages(profile, 'gta5_to_cityscapes', {})]
        for profile in ('paper', 'camvid')
    }
    assert [n for n in names['paper'] if n.startswith('train')] == [f'train{i}' for i in range(4)]
    assert [n for n in names['camvid'] if n.startswith('train')] == ['train0', 'train2']
