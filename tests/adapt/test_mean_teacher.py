from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from sfda_bench.adapt.mean_teacher import (
    MeanTeacherAdapter,
    teacher_momentum,
    update_average,
)
from sfda_bench.errors import BenchError, UnknownNameError

NETWORK = Path(__file__).parents[2] / 'mm_configs' / 'networks' / 'deeplabv2_pocket.py'


class Toy(MeanTeacherAdapter):
    def losses(self, views: dict[str, Tensor]) -> dict[str, Tensor]:
        labels = self.teacher_logits(views['image'], views['image'].shape[-2:]).argmax(1)
        logits = self.logits(self.strong(views['image']), labels.shape[-2:])
        return {'loss_ce': cross_entropy(logits, labels)}


def toy(**kwargs) -> Toy:
    model = dict(Config.fromfile(NETWORK).model)
    model['data_preprocessor'] = {**model['data_preprocessor'], 'size_divisor': 1}
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('sfda_bench'):
        adapter = Toy(segmentor=model, **kwargs)
    return adapter.train()


def layer(value: float) -> nn.Module:
    net = nn.BatchNorm1d(1)
    net.weight.data.fill_(value)
    net.running_mean.fill_(value)
    net.num_batches_tracked.fill_(int(value))
    return net


def test_momentum_of_the_sheet():
    got = [teacher_momentum(t, 0.999, 'dacs') for t in (1, 2, 10, 998, 999, 1000)]
    expected = [0.5, 0.66666667, 0.90909091, 0.998998999, 0.999, 0.999]
    assert got == pytest.approx(expected, abs=5e-9)
    assert teacher_momentum(0, 0.999, 'dacs') == 0.0
    assert teacher_momentum(3, 0.9) == 0.9


@pytest.mark.parametrize(
    ('momentum', 'old', 'new', 'expected'), [(0.999, 1.0, 0.0, 0.999), (0.9, 2.0, 1.0, 1.9)]
)
def test_averages_of_the_sheet(momentum, old, new, expected):
    teacher = layer(old)
    update_average(teacher, layer(new), momentum)
    assert float(teacher.weight.detach()) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(
    ('buffers', 'mean', 'count'), [('copy', 1, 1), ('ema', 1.9, 1), ('skip', 2, 2)]
)
def test_buffers_are_copied_averaged_or_left(buffers, mean, count):
    teacher = layer(2.0)
    update_average(teacher, layer(1.0), 0.9, buffers)
    assert float(teacher.running_mean) == pytest.approx(mean, abs=1e-6)
    assert int(teacher.num_batches_tracked) == count


def test_first_iteration_copies_and_later_ones_average():
    adapter = toy(momentum=0.9)
    images = torch.randn(2, 3, 48, 96)
    with torch.no_grad():
        for parameter in adapter.teacher.parameters():
            parameter.add_(1.0)
    adapter.loss(images)
    first = next(adapter.student.parameters())
    mine = next(adapter.teacher.parameters())
    assert torch.equal(mine, first)
    with torch.no_grad():
        first.add_(1.0)
    adapter.loss(images)
    assert torch.allclose(mine, first - 0.9, atol=1e-6)
    assert int(adapter.step) == 2


def test_interval_skips_updates():
    adapter = toy(momentum=0.0, interval=2)
    images = torch.randn(2, 3, 48, 96)
    adapter.loss(images)
    with torch.no_grad():
        next(adapter.student.parameters()).add_(1.0)
    adapter.loss(images)
    same = [
        torch.equal(a, b)
        for a, b in zip(adapter.teacher.parameters(), adapter.student.parameters(), strict=True)
    ]
    assert not same[0]
    adapter.loss(images)
    assert torch.equal(next(adapter.teacher.parameters()), next(adapter.student.parameters()))


@pytest.mark.parametrize(
    ('mode', 'batch', 'moves'),
    [('eval', False, False), ('train', True, True), ('batch', True, False)],
)
def test_modes_of_the_teacher(mode, batch, moves):
    adapter = toy(teacher_mode=mode)
    norm = next(m for m in adapter.teacher.modules() if isinstance(m, nn.BatchNorm2d))
    before = norm.running_mean.clone()
    adapter.teacher_logits(torch.randn(2, 3, 48, 96))
    assert norm.training is batch
    assert (not torch.equal(norm.running_mean, before)) is moves
    adapter.eval()
    assert not norm.training


def test_only_the_student_learns_and_either_can_be_exported():
    adapter = toy()
    adapter.loss(torch.randn(2, 3, 48, 96))['loss_ce'].backward()
    assert all(p.grad is None for p in adapter.teacher.parameters())
    assert all(p.grad is not None for p in adapter.student.parameters())
    assert adapter.export_module() is adapter.student
    assert toy(predict_on='teacher').export_module().training is False


def test_a_plain_checkpoint_fills_both():
    source, adapter = toy(), toy()
    with torch.no_grad():
        next(source.student.parameters()).add_(3.0)
    adapter.load_state_dict(source.student.state_dict(), strict=False)
    for name in ('student', 'teacher'):
        loaded = next(getattr(adapter, name).parameters())
        assert torch.equal(loaded, next(source.student.parameters()))


def test_errors():
    with pytest.raises(UnknownNameError):
        toy(warmup='dac')
    with pytest.raises(BenchError, match='momentum'):
        toy(momentum=1.5)
    with pytest.raises(BenchError, match='interval'):
        toy(interval=0)
