"""The forecast of a step's memory against what the allocator saw in a real one."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sfda_bench.benchmarks import step_time
from sfda_bench.plan import catalog


def tensor_peak(work: Callable[[], None]) -> int:
    """Greatest sum of bytes of the tensors that a call makes on the CPU."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        work()
    events = found.profiler.kineto_results.events()
    changes = sorted((e.start_ns(), e.nbytes()) for e in events if e.name() == '[memory]')
    total = peak = 0
    for _, nbytes in changes:
        total += nbytes
        peak = max(peak, total)
    return peak


def measure(stage: Mapping[str, Any], timing: step_time.Timing) -> dict[str, float]:
    """Bytes that a step allocates: forecast, measured, and their ratio.

    Weights are there before; gradients and what the step keeps are counted, states are not: the
    step has no optimiser.
    """
    import torch
    from mmengine.registry import DefaultScope

    from sfda_bench.run.forecast import step_bytes, traced

    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('sfda_bench'):
        with tempfile.TemporaryDirectory() as folder:
            adapter = step_time.build(dict(stage), timing.network, 'cpu', Path(folder))
        images = torch.randn(timing.batch, 3, *timing.size)
        step = step_time.step_of(adapter, dict(stage), images)
        step()  # caches and buffers are there from the second one on
        for parameter in adapter.parameters():
            parameter.grad = None
        measured = tensor_peak(step)
        model = catalog.load('networks', timing.network)['model']
        model['data_preprocessor'].setdefault('size_divisor', 1)
        loader = {'batch_size': timing.batch}
        config = {'model': {**stage['adapter'], 'segmentor': model}, 'train_dataloader': loader}
        forecast = step_bytes(config, timing.size, timing.batch)
        affine = stage['adapter'].get('trainable') == 'norm_affine'
        parameters = traced(model, timing.size, affine).parameters
        likes = set(type(adapter).student_like) | set(type(adapter).frozen)
        networks = 1 + len(likes - {'student'})
    forecast -= 4 * parameters * networks
    return {'forecast': forecast, 'measured': measured, 'ratio': forecast / measured}
