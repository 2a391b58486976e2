"""IAPC's forward of clean images: what it moves, when, and of which networks."""

from __future__ import annotations

import pytest
import torch
from mmengine.optim import OptimWrapper
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from sfda_bench.adapt.clean_forward import CleanForwardHook
from sfda_bench.adapt.hooks import Driver
from sfda_bench.errors import BenchError
from sfda_bench.plan.method import Method
from sfda_bench.registry import HOOKS
from tests.methods.helpers import losses_of, plain

CLEAN = {'type': 'CleanForwardHook'}
STATISTICS = {'running_mean', 'running_var', 'num_batches_tracked'}


def part(seed: int = 0) -> dict:
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (2, 3, 32, 64), generator=generator)
    samples = [SegDataSample(metainfo={'img_shape': (32, 64)}) for _ in pixels]
    return {'inputs': list(pixels.to(torch.uint8)), 'data_samples': samples}


def batch(*names: str) -> dict:
    names = names or ('source', 'student', 'memory', 'clean')
    return {name: part(seed) for seed, name in enumerate(names)}


def adapter() -> nn.Module:
    return plain('IAPC', losses=losses_of('iapc')).train()


def driver(model: nn.Module, **options) -> Driver:
    driven = Driver(model, [{**CLEAN, **options}])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    driven.runner.optim_wrapper = OptimWrapper(optimizer)
    return driven


def snapshot(module: nn.Module) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in module.state_dict().items()}


def moved(before: dict[str, Tensor], module: nn.Module) -> set[str]:
    now = module.state_dict()
    return {key for key, value in before.items() if not torch.equal(value, now[key])}


def test_only_the_students_running_statistics_move():
    model = adapter()
    before = snapshot(model)
    driver(model).after(batch())
    names = moved(before, model)
    assert {name.split('.')[0] for name in names} == {'student'}
    assert {name.rsplit('.', 1)[1] for name in names} == STATISTICS
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_statistics_are_those_of_the_clean_images():
    model, by_hand = adapter(), adapter()
    driver(model).after(batch())
    views = by_hand.data_preprocessor(batch(), True)['inputs']
    with torch.no_grad():
        by_hand.student.decode_head(by_hand.student.extract_feat(views['clean']))
    assert not moved(snapshot(by_hand), model)


@pytest.mark.parametrize(
    ('interval', 'at'), [(1, [0, 1, 2, 3, 4]), (2, [1, 3]), (3, [2]), (None, [])]
)
def test_every_interval(interval, at):
    model = adapter()
    driven, found = driver(model, interval=interval), []
    for index in range(5):
        before = snapshot(model)
        driven.after(batch())
        if moved(before, model):
            found.append(index)
    assert found == at


def test_the_interval_counts_the_runs_iterations():
    """A resumed run forwards where the whole one would have."""
    model = adapter()
    driven = Driver(model, [{**CLEAN, 'interval': 2}], iteration=3)
    driven.runner.optim_wrapper = driver(model).runner.optim_wrapper
    before = snapshot(model)
    driven.after(batch())
    assert moved(before, model)


def test_batches_without_the_branch_are_passed_over():
    model = adapter()
    before = snapshot(model)
    driver(model).after(batch('source', 'student', 'memory'))
    driver(model).after(None)
    assert not moved(before, model)
    driver(model, branch='memory').after(batch('source', 'student', 'memory'))
    assert moved(before, model)


def test_a_plain_segmentor_forwards_its_batch():
    model = adapter().student
    model.data_preprocessor = adapter().data_preprocessor
    before = snapshot(model.train())
    driver(model).after(part())
    assert {name.rsplit('.', 1)[1] for name in moved(before, model)} == STATISTICS


def test_the_forward_runs_as_the_step_does():
    """Under the optimiser wrapper's context (its autocast), in training mode, without gradient."""
    model, seen = adapter(), []

    class Wrapper(OptimWrapper):
        inside = False

        def optim_context(self, model):
            outer = super().optim_context(model)
            wrapper = self

            class Context:
                def __enter__(self):
                    wrapper.inside = True
                    return outer.__enter__()

                def __exit__(self, *error):
                    wrapper.inside = False
                    return outer.__exit__(*error)

            return Context()

    driven = driver(model)
    wrapper = Wrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    driven.runner.optim_wrapper = wrapper
    model.student.backbone.register_forward_pre_hook(
        lambda module, _: seen.append((wrapper.inside, module.training, torch.is_grad_enabled()))
    )
    driven.after(batch())
    assert seen == [(True, True, False)]


def test_registered_stated_and_checked():
    hook = HOOKS.build(dict(CLEAN))
    assert isinstance(hook, CleanForwardHook)
    assert (hook.interval, hook.branch, hook.priority) == (1, 'clean', 'NORMAL')
    with pytest.raises(BenchError, match='interval 0 of the clean forward'):
        CleanForwardHook(interval=0)

    def stated(**params):
        return Method('iapc').stages('paper', 'gta5_to_cityscapes', params)[1]['hooks']['clean']

    assert stated() == {'type': 'CleanForwardHook', 'interval': 1}
    assert stated(**{'clean.interval': 4})['interval'] == 4
    assert stated(**{'clean.interval': None})['interval'] is None
    with pytest.raises(BenchError):
        stated(**{'clean.interval': 0})
