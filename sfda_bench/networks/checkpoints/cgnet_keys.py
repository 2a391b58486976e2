"""Key names of the CGNet authors' implementation, mapped to mmseg's ``CGNet`` + ``FCNHead``."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from sfda_bench.networks.checkpoints.state import State, add_counters

_CLASSIFIER = re.compile(r'^classifier\.\d+\.conv\.weight$')
# place of a module: (authors' prefix, mmseg's prefix); {0} keeps an index, {0+1} raises it by one
_PLACES: list[tuple[re.Pattern[str], str]] = [
    (re.compile(r'^level1_(\d)\.'), 'stem.{0}.'),
    (re.compile(r'^b1\.'), 'norm_prelu_0.'),
    (re.compile(r'^bn_prelu_2\.'), 'norm_prelu_1.'),
    (re.compile(r'^bn_prelu_3\.'), 'norm_prelu_2.'),
    (re.compile(r'^level2_0\.'), 'level1.0.'),
    (re.compile(r'^level2\.(\d+)\.'), 'level1.{next}.'),
    (re.compile(r'^level3_0\.'), 'level2.0.'),
    (re.compile(r'^level3\.(\d+)\.'), 'level2.{next}.'),
]
_INSIDE_BLOCK = [
    (re.compile(r'^bn_prelu\.bn\.'), 'bn.'),
    (re.compile(r'^bn_prelu\.act\.'), 'activate.'),
    (re.compile(r'^F_loc\.conv\.'), 'f_loc.'),
    (re.compile(r'^F_sur\.conv\.'), 'f_sur.'),
    (re.compile(r'^F_glo\.'), 'f_glo.'),
    (re.compile(r'^reduce\.conv\.'), 'bottleneck.'),
    (re.compile(r'^(conv1x1\.)?act\.'), r'\1activate.'),
]


def is_cgnet(state: Mapping[str, Tensor]) -> bool:
    """Whether the keys are those of the CGNet authors."""
    return 'level1_0.conv.weight' in state and 'bn_prelu_2.bn.weight' in state


def convert_cgnet(state: Mapping[str, Tensor]) -> State:
    """Rename the authors' keys; insert the zero bias and BN counters mmseg's network also has.

    Keys that belong to no known place are kept, so that strict loading reports them.
    """
    out: State = {}
    for key, value in state.items():
        if _CLASSIFIER.match(key):
            out['decode_head.conv_seg.weight'] = value
            out['decode_head.conv_seg.bias'] = torch.zeros(value.shape[0], dtype=value.dtype)
        else:
            out[_backbone_key(key)] = value
    return add_counters(out)


def _backbone_key(key: str) -> str:
    for pattern, place in _PLACES:
        match = pattern.match(key)
        if match:
            index = match.group(1) if match.groups() else '0'
            prefix = place.format(index, next=int(index) + 1)
            rest = _rest_key(key[match.end() :], sequential=prefix.startswith('norm_prelu'))
            return f'backbone.{prefix}{rest}'
    return key


def _rest_key(rest: str, sequential: bool) -> str:
    if sequential:  # BN and PReLU in a row, named 0 and 1
        return rest.replace('bn.', '0.', 1).replace('act.', '1.', 1)
    for pattern, name in _INSIDE_BLOCK:
        rest, count = pattern.subn(name, rest)
        if count:
            return rest
    return rest
