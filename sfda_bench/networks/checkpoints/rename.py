"""Key names of foreign checkpoints mapped to mmseg's, one pure function a family."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from sfda_bench.networks.checkpoints.state import State, add_counters, strip_prefix

_BLOCK = re.compile(r'^block(\d)\.(\d+)\.(.+)$')
_STAGE = re.compile(r'^(patch_embed|norm)(\d)\.(.+)$')
_BRANCH = re.compile(r'^decode_head\.aspp_modules\.(\d)\.conv\.(weight|bias)$')
_MIT_BLOCK = {
    'attn.proj.': 'attn.attn.out_proj.',
    'mlp.fc1.': 'ffn.layers.0.',
    'mlp.dwconv.dwconv.': 'ffn.layers.1.',
    'mlp.fc2.': 'ffn.layers.4.',
}
# torchvision's flat VGG16 counts the fourth pool, DeepLab's does not have it
_VGG_SHIFT = {24: 23, 26: 25, 28: 27}


def rename_dlv2(state: Mapping[str, Tensor]) -> State:
    """AdaptSegNet / ADVENT / CRST keys: the backbone as is, ``layer6`` and ``layer5`` to heads.

    ``layer5`` is the auxiliary head if it reads 1024 channels and the only head if it reads 2048.
    """
    out: State = {}
    for key, value in add_counters(state).items():
        stem, _, rest = key.partition('.')
        if stem == 'layer6':
            out[f'decode_head.{rest}'] = value
        elif stem == 'layer5':
            aux = value_channels(state, 'layer5.conv2d_list.0.weight') == 1024
            out[f'{"auxiliary_head" if aux else "decode_head"}.{rest}'] = value
        else:
            out[f'backbone.{key}'] = value
    return out


def rename_vgg(state: Mapping[str, Tensor]) -> State:
    """AdaptSegNet's VGG16 keys."""
    return {
        key.replace('classifier.', 'decode_head.', 1)
        if key.startswith('classifier.')
        else f'backbone.{key}': value
        for key, value in state.items()
    }


def rename_fada(state: Mapping[str, Tensor]) -> State:
    """FADA, DT-ST, SND, RIPU: ``feature_extractor.backbone.*`` and ``classifier.*``."""
    out: State = {}
    for key, value in add_counters(state).items():
        key = key.replace('feature_extractor.backbone.', 'backbone.', 1)
        out[key.replace('classifier.', 'decode_head.', 1)] = value
    return out


def rename_backbone(state: Mapping[str, Tensor]) -> State:
    """ImageNet ResNet keys (``conv1`` or ``stem``, ``layer1`` to ``layer4``)."""
    return {f'backbone.{key}': value for key, value in add_counters(state).items()}


def rename_scale_init(state: Mapping[str, Tensor]) -> State:
    """The lineage's initial file, ``Scale.`` before every key."""
    return rename_backbone(strip_prefix(state, 'Scale.'))


def rename_vgg_imagenet(state: Mapping[str, Tensor]) -> State:
    """The thirteen convolutions of an ImageNet VGG16; the flat index loses the fourth pool."""
    out: State = {}
    for key, value in state.items():
        _, index, name = key.split('.')
        out[f'backbone.features.{_VGG_SHIFT.get(int(index), int(index))}.{name}'] = value
    return out


def rename_daformer(state: Mapping[str, Tensor], prefix: str = 'model.') -> State:
    """DAFormer / SePiCo / ATP keys: MiT under its authors' names, DLV2 heads in ``aspp_modules``.

    Args:
        state: Keys with ``prefix`` (self-training checkpoints) or without (source-only ones).
        prefix: ``'model.'`` (student) or ``'ema_model.'`` (teacher).
    """
    if any(key.startswith(prefix) for key in state):
        state = strip_prefix(state, prefix)
    state = add_counters(state)
    out = {
        _BRANCH.sub(r'decode_head.conv2d_list.\1.\2', key): value
        for key, value in state.items()
        if not key.startswith('backbone.')
    }
    backbone = strip_prefix(state, 'backbone.')
    renamed = rename_mit(backbone) if 'patch_embed1.proj.weight' in backbone else backbone
    out.update({f'backbone.{key}': value for key, value in renamed.items()})
    return out


def rename_mit(state: Mapping[str, Tensor]) -> State:
    """The MiT authors' keys to mmseg's ``MixVisionTransformer``.

    Query, key and value are one projection there, linear layers of the MLP 1x1 convolutions.
    """
    out: State = {}
    for key, value in state.items():
        stage, block = _STAGE.match(key), _BLOCK.match(key)
        if stage:
            kind, number, rest = stage.groups()
            place = '2' if kind == 'norm' else '0'
            rest = rest.replace('proj.', 'projection.', 1)
            out[f'layers.{int(number) - 1}.{place}.{rest}'] = value
        elif block:
            number, index, rest = block.groups()
            prefix = f'layers.{int(number) - 1}.1.{index}.'
            out.update(_mit_block(state, key, prefix, rest))
        else:
            out[key] = value
    return out


def _mit_block(state: Mapping[str, Tensor], key: str, prefix: str, rest: str) -> State:
    if rest.startswith('attn.kv.'):
        partner = key.replace('.kv.', '.q.')
        return {} if partner in state else {prefix + rest: state[key]}
    if rest.startswith('attn.q.'):
        parts = [state[key]]
        if (partner := key.replace('.q.', '.kv.')) in state:
            parts.append(state[partner])
        return {f'{prefix}attn.attn.in_proj_{rest.split(".")[-1]}': torch.cat(parts)}
    value = state[key]
    for old, new in _MIT_BLOCK.items():
        if rest.startswith(old):
            if rest.endswith('weight') and value.dim() == 2 and old.startswith('mlp.'):
                value = value[:, :, None, None]
            return {prefix + new + rest[len(old) :]: value}
    return {prefix + rest: value}


def value_channels(state: Mapping[str, Tensor], key: str) -> int | None:
    """Input channels of the convolution ``key``; ``None`` if there is no such key."""
    return int(state[key].shape[1]) if key in state and state[key].dim() > 1 else None
