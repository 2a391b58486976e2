from __future__ import annotations

import pytest
import torch
from torch import nn

from sfda_bench.errors import BenchError
from sfda_bench.methods.atp.class_prior import prior_weights, with_class_prior

PRINTED = (
    0.6932, 0.8536, 0.7359, 1.0519, 1.0259, 0.9961, 1.1541, 1.0673, 0.7679, 1.0013, 0.8905, 0.9967,
    1.1924, 0.8412, 1.1317, 1.1431, 1.1440, 1.2204, 1.0928,
)  # fmt: skip


class Net(nn.Module):
    def __init__(self, bias: bool = True) -> None:
        super().__init__()
        self.decode_head = nn.Module()
        self.decode_head.conv_seg = nn.Conv2d(4, 19, 1, bias=bias)

    def forward(self, x):
        return self.decode_head.conv_seg(x)


def test_weights_of_the_sheet():
    assert prior_weights().tolist() == pytest.approx(PRINTED, abs=5.1e-5)


def test_the_copy_multiplies_probabilities_and_the_original_stays():
    net, x = Net(), torch.randn(2, 4, 3, 3)
    before = net(x)
    changed = with_class_prior(net, prior_weights())
    weighted = before.softmax(1) * prior_weights().float().view(1, -1, 1, 1)
    expected = weighted / weighted.sum(1, keepdim=True)
    assert torch.allclose(changed(x).softmax(1), expected, atol=1e-6)
    assert torch.equal(net(x), before)


def test_errors():
    with pytest.raises(BenchError, match='no bias'):
        with_class_prior(Net(bias=False), prior_weights())
    with pytest.raises(BenchError, match='19 classes'):
        with_class_prior(Net(), torch.ones(11))
