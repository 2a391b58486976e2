"""Networks that compute in another format, layout or compiled: real ones, on a CPU."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from mmengine.registry import init_default_scope
from torch import nn

from sfda_bench.engine.execution import ExecutionHook, parts_of, require_format, widened
from sfda_bench.errors import BenchError
from sfda_bench.networks.build import build_segmentor
from sfda_bench.plan import catalog
from sfda_bench.store.record import Record


@pytest.fixture(scope='module', params=['deeplabv2_pocket', 'segformer_pocket', 'cgnet'])
def network(request) -> nn.Module:
    init_default_scope('sfda_bench')
    torch.manual_seed(0)
    return build_segmentor(copy.deepcopy(catalog.load('networks', request.param)['model'])).eval()


@pytest.fixture(scope='module')
def images() -> torch.Tensor:
    return torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))


def logits(network: nn.Module, images: torch.Tensor) -> torch.Tensor:
    return network.decode_head(network.extract_feat(images))


def test_bf16_hands_on_float32_near_the_plain_values(network, images):
    plain, short = logits(network, images), copy.deepcopy(network)
    ExecutionHook('bf16').apply(short)
    found = logits(short, images)
    assert found.dtype == torch.float32
    assert {p.dtype for p in short.parameters()} == {torch.float32}
    distance = (found - plain).abs().max() / plain.abs().max()
    assert 0.0 < distance < 0.05
    # what mmseg calls directly, not through the module
    whole = short.encode_decode(images, [{'img_shape': (64, 96), 'ori_shape': (64, 96)}] * 2)
    assert whole.dtype == torch.float32
    assert torch.equal(logits(network, images), plain), 'the network copied from is as it was'


def test_a_copy_computes_so_with_its_own_weights(network, images):
    short = copy.deepcopy(network)
    hook = ExecutionHook('bf16')
    hook.apply(short)
    other = copy.deepcopy(short)
    with torch.no_grad():
        for parameter in other.decode_head.parameters():
            parameter.zero_()
    assert logits(other, images).abs().max() == 0.0
    assert logits(short, images).abs().max() > 0.0
    found = logits(short, images)
    hook.apply(short)
    assert torch.equal(logits(short, images), found), 'twice is as good as once'
    again = pickle.loads(pickle.dumps(short))
    hook.apply(again)
    assert torch.equal(logits(again, images), found)


def test_gradients_reach_float32_weights(network, images):
    short = copy.deepcopy(network)
    ExecutionHook('bf16').apply(short)
    logits(short, images).square().mean().backward()
    grads = [p.grad for p in short.decode_head.parameters() if p.grad is not None]
    assert grads
    assert all(grad.dtype == torch.float32 and grad.isfinite().all() for grad in grads)


def test_channels_last_and_a_compiler_change_no_more_than_rounding(network, images):
    plain, other = logits(network, images), copy.deepcopy(network)
    ExecutionHook(channels_last=True, compile='aot_eager').apply(other)
    weights = [p for p in other.parameters() if p.dim() == 4 and min(p.shape[1:]) > 1]
    assert all(w.is_contiguous(memory_format=torch.channels_last) for w in weights)
    torch.testing.assert_close(logits(other, images), plain, rtol=1e-3, atol=1e-4)


def test_every_part_once(network):
    found = list(parts_of(network))
    assert network.backbone in found
    assert network.decode_head in found
    assert len({id(part) for part in found}) == len(found)


def test_nested_values_are_widened():
    half = torch.ones(1, dtype=torch.bfloat16)
    found = widened({'a': (half, [half]), 'n': 3})
    assert found['a'][0].dtype == found['a'][1][0].dtype == torch.float32
    assert isinstance(found['a'], tuple)
    assert found['n'] == 3


def test_float16_is_refused_on_a_cpu():
    with pytest.raises(BenchError, match='fp16 on a CPU'):
        require_format('cpu', 'fp16')


def test_whole_entries_compute_so(bench):
    """Rounds of labels and training, a stream with a step, and their scores."""
    methods = (
        'cbst[precision=bf16,iters=2,rounds=1]',
        'tent_online[precision=bf16]',
        'source_only',
    )
    plan = bench.plan(*methods)
    assert not bench.run(plan).failures
    records = [Record.model_validate_json(f.read_text()) for f in bench.records.rglob('*.json')]
    assert {r.entry.params.get('precision') for r in records} == {'bf16', None}
    assert len(records) == 3
