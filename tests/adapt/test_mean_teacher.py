from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope, init_default_scope
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from sfda_bench.adapt.hooks import Driver
from sfda_bench.adapt.mean_teacher import (
    MeanTeacherAdapter,
    MeanTeacherHook,
    teacher_momentum,
    update_average,
)
from sfda_bench.errors import BenchError, UnknownNameError
from sfda_bench.registry import HOOKS

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


def driver(adapter: nn.Module, iteration: int = 0, **teacher) -> Driver:
    return Driver(adapter, {'teacher': {'type': 'MeanTeacherHook', **teacher}}, iteration)


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
    adapter = toy()
    driven = driver(adapter, momentum=0.9)
    images = torch.randn(2, 3, 48, 96)
    with torch.no_grad():
        for parameter in adapter.teacher.parameters():
            parameter.add_(1.0)
    driven.loss(images)
    first = next(adapter.student.parameters())
    mine = next(adapter.teacher.parameters())
    assert torch.equal(mine, first)
    with torch.no_grad():
        first.add_(1.0)
    driven.loss(images)
    assert torch.allclose(mine, first - 0.9, atol=1e-6)
    assert driven.runner.iter == 2


def test_the_warm_up_is_a_plain_average_of_what_was_seen():
    """With DACS's ramp the teacher after n updates is the mean of the students so far."""
    adapter = toy()
    driven = driver(adapter, momentum=0.999, warmup='dacs')
    driven.before()
    driven.after()
    first = next(adapter.student.parameters())
    start = first.detach().clone()
    for step in (1, 2, 3):
        with torch.no_grad():
            first.copy_(start + step)
        driven.before()
        driven.after()
        mean = sum(range(step + 1)) / (step + 1)
        assert torch.allclose(next(adapter.teacher.parameters()), start + mean, atol=1e-5), step
    assert driven.runner.iter == 4


def test_interval_skips_updates():
    adapter = toy()
    driven = driver(adapter, momentum=0.0, interval=2)
    images = torch.randn(2, 3, 48, 96)
    driven.loss(images)
    with torch.no_grad():
        next(adapter.student.parameters()).add_(1.0)
    driven.loss(images)
    same = [
        torch.equal(a, b)
        for a, b in zip(adapter.teacher.parameters(), adapter.student.parameters(), strict=True)
    ]
    assert not same[0]
    driven.loss(images)
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
        driver(toy(), warmup='dac')
    with pytest.raises(BenchError, match='momentum'):
        driver(toy(), momentum=1.5)
    with pytest.raises(BenchError, match='interval'):
        driver(toy(), interval=0)


# --- the hook in a run ----------------------------------------------------------------------------


def drift(adapter: nn.Module, driven: Driver, iterations: int) -> None:
    """Iterations that each move the student by something else."""
    for _ in range(iterations):
        driven.before()
        with torch.no_grad():
            for parameter in adapter.student.parameters():
                parameter.add_(0.1 * (driven.runner.iter + 1)).mul_(1.01)
        driven.after()


@pytest.mark.parametrize('warmup', ['none', 'dacs'])
@pytest.mark.parametrize('interval', [1, 2])
def test_a_resumed_run_goes_on_to_the_bit(warmup, interval):
    """The index is the runner's: nothing else has to be carried over."""
    options = {'momentum': 0.9, 'warmup': warmup, 'interval': interval}
    whole, first, second = toy(), toy(), toy()
    drift(whole, driver(whole, **options), 7)
    drift(first, driver(first, **options), 3)
    second.load_state_dict(first.state_dict())
    drift(second, driver(second, 3, **options), 4)
    expected = whole.state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in second.state_dict().items())
    teacher, student = next(whole.teacher.parameters()), next(whole.student.parameters())
    assert not torch.equal(teacher, student)


class Plain(BaseModel):
    """A model that knows nothing of teachers."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(2, 1)

    def forward(self, *inputs: Tensor, mode: str = 'tensor') -> dict[str, Tensor]:
        return {'loss': (self.layer(torch.stack(inputs)) - 3.0).square().mean()}


def run(folder: Path, iterations: int, **options) -> tuple[Plain, MeanTeacherHook]:
    """mmengine's own loop with the hook as a plain config states it."""
    init_default_scope('sfda_bench')
    torch.manual_seed(0)
    runner = Runner(
        model=Plain(),
        work_dir=str(folder),
        train_dataloader={
            'dataset': [torch.ones(2)] * 4,
            'sampler': {'type': 'InfiniteSampler', 'shuffle': False},
            'batch_size': 2,
        },
        train_cfg={'type': 'IterBasedTrainLoop', 'max_iters': iterations},
        optim_wrapper={'optimizer': {'type': 'SGD', 'lr': 0.1}},
        default_hooks={'checkpoint': {'type': 'CheckpointHook', 'by_epoch': False, 'interval': 2}},
        custom_hooks=[{'type': 'MeanTeacherHook', 'momentum': 0.5}],
        default_scope='sfda_bench',
        experiment_name=f'plain_{folder.name}',
        **options,
    )
    runner.train()
    [hook] = [hook for hook in runner.hooks if isinstance(hook, MeanTeacherHook)]
    return runner.model, hook


def test_a_plain_models_teacher_stands_in_its_checkpoints(tmp_path):
    student, hook = run(tmp_path / 'whole', 4)
    saved = torch.load(tmp_path / 'whole' / 'iter_4.pth', weights_only=False)
    teacher = hook.teacher.state_dict()
    assert set(saved['teacher_state_dict']) == set(student.state_dict()) == {
        'layer.weight', 'layer.bias'
    }  # fmt: skip
    for key, value in teacher.items():
        assert torch.equal(saved['teacher_state_dict'][key], value)
        assert not torch.equal(value, student.state_dict()[key])
    assert not any(p.requires_grad for p in hook.teacher.parameters())
    resumed, again = run(
        tmp_path / 'again', 4, resume=True, load_from=str(tmp_path / 'whole' / 'iter_2.pth')
    )
    assert all(torch.equal(v, teacher[key]) for key, v in again.teacher.state_dict().items())
    assert all(torch.equal(v, resumed.state_dict()[k]) for k, v in student.state_dict().items())


def test_the_hook_is_found_by_name_and_gives_an_adapter_no_second_teacher():
    hook = HOOKS.build({'type': 'MeanTeacherHook', 'momentum': 0.5})
    assert isinstance(hook, MeanTeacherHook) and hook.priority == 'NORMAL'
    adapter, checkpoint = toy(), {}
    driven = driver(adapter)
    driven.hooks[0].before_save_checkpoint(driven.runner, checkpoint)
    assert driven.hooks[0].teacher is None and not checkpoint
