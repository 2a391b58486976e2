"""The checkpoint formats of the literature: how each is recognised and converted."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor

from sfda_bench.errors import BenchError
from sfda_bench.networks.checkpoints import rename
from sfda_bench.networks.checkpoints.cgnet_keys import convert_cgnet, is_cgnet
from sfda_bench.networks.checkpoints.rename import value_channels
from sfda_bench.networks.checkpoints.state import State, tensors_only

HEADS = r'^(decode_head|auxiliary_head)\.'


@dataclass(frozen=True)
class Format:
    """One way in which checkpoints are written.

    Args:
        name: The converter's name in configs.
        title: For people.
        matches: Whether a flat state dict looks like it.
        rename: Its keys to mmseg's.
        drops: Pattern of keys that are left out on purpose (reported, not silently).
        absent: Pattern of network keys the format cannot provide (initial weights); '' = none.
        summed_head: A DeepLabV2 head whose keys do not tell whether two or four branches count.
        convention: Input convention the checkpoint was trained with, as far as the format tells.
    """

    name: str
    title: str
    matches: Callable[[Mapping[str, Tensor]], bool]
    rename: Callable[[Mapping[str, Tensor]], State]
    drops: str = ''
    absent: str = ''
    summed_head: bool = False
    convention: str = ''

    def dropped(self, state: Mapping[str, Tensor]) -> list[str]:
        """The keys the format leaves out on purpose."""
        return [k for k in state if self.drops and re.match(self.drops, k)]

    def convert(self, state: Mapping[str, Tensor]) -> State:
        """Flat state dict to mmseg's keys; unknown keys stay, so that strict loading names them."""
        gone = set(self.dropped(state))
        return self.rename({k: v for k, v in state.items() if k not in gone})


CAFFE = 'BGR, 0-255, mean (104.00698793, 116.66876762, 122.67891434), std 1'
IMAGENET = 'RGB, mean (123.675, 116.28, 103.53), std (58.395, 57.12, 57.375)'


def _has(*keys: str) -> Callable[[Mapping[str, Tensor]], bool]:
    return lambda state: all(key in state for key in keys)


def _is_dlv2(state: Mapping[str, Tensor]) -> bool:
    heads = [k for k in state if re.match(r'^layer[56]\.conv2d_list\.0\.weight$', k)]
    return bool(heads) and 'conv1.weight' in state


def _is_daformer(state: Mapping[str, Tensor]) -> bool:
    if any(k.startswith('model.backbone.') for k in state):
        return True
    authors = 'backbone.patch_embed1.proj.weight' in state
    return authors or 'decode_head.aspp_modules.0.conv.bias' in state


def _is_mmseg(state: Mapping[str, Tensor]) -> bool:
    prefixes = {k.split('.')[0] for k in state}
    return 'backbone' in prefixes and 'decode_head' in prefixes


def _is_resnet(state: Mapping[str, Tensor]) -> bool:
    stem = 'conv1.weight' in state or 'stem.0.weight' in state
    return stem and 'layer4.0.conv1.weight' in state and not _is_dlv2(state)


def _is_vgg_imagenet(state: Mapping[str, Tensor]) -> bool:
    return 'features.28.weight' in state and 'classifier.conv2d_list.0.weight' not in state


#: In the order in which they are tried.
FORMATS: tuple[Format, ...] = (
    Format('cgnet', 'CGNet authors', is_cgnet, convert_cgnet),
    Format(
        'dlv2_scale_init',
        'initial weights of the AdaptSegNet line (Scale.)',
        _has('Scale.conv1.weight'),
        rename.rename_scale_init,
        drops=r'^Scale\.layer5\.',
        absent=HEADS,
        convention=CAFFE,
    ),
    Format(
        'dlv2',
        'AdaptSegNet / ADVENT / CRST / MaxSquare',
        _is_dlv2,
        rename.rename_dlv2,
        summed_head=True,
        convention=CAFFE + ' (CRST: ' + IMAGENET + ')',
    ),
    Format(
        'dlv2_vgg',
        'AdaptSegNet VGG16',
        _has('features.29.weight', 'classifier.conv2d_list.0.weight'),
        rename.rename_vgg,
        summed_head=True,
        convention=CAFFE,
    ),
    Format(
        'fada',
        'FADA / DT-ST / SND / RIPU (feature_extractor, classifier)',
        _has('feature_extractor.backbone.conv1.weight', 'classifier.conv2d_list.0.weight'),
        rename.rename_fada,
        convention=IMAGENET,
    ),
    Format(
        'daformer',
        'DAFormer / SePiCo / ATP, student (model.)',
        _is_daformer,
        rename.rename_daformer,
        drops=r'^(ema_model|imnet_model)\.',
        convention=IMAGENET,
    ),
    Format('mmseg', 'MMSegmentation', _is_mmseg, dict),
    Format(
        'mit_imagenet',
        'MiT, ImageNet',
        _has('patch_embed1.proj.weight'),
        lambda s: {f'backbone.{k}': v for k, v in rename.rename_mit(s).items()},
        drops=r'^head\.',
        absent=HEADS,
        convention=IMAGENET,
    ),
    Format(
        'resnet_imagenet',
        'ResNet, ImageNet (torchvision or Caffe)',
        _is_resnet,
        rename.rename_backbone,
        drops=r'^fc\.',
        absent=HEADS,
    ),
    Format(
        'vgg_imagenet',
        'VGG16, ImageNet',
        _is_vgg_imagenet,
        rename.rename_vgg_imagenet,
        drops=r'^classifier\.',
        absent=r'^((decode|auxiliary)_head\.|backbone\.features\.(29|31)\.)',
    ),
)

# chosen by name only: another view of a format that is recognised above
_VARIANTS = (
    Format(
        'dlv2_main',
        'AdaptSegNet / ADVENT multi-level, main head only',
        lambda state: False,
        rename.rename_dlv2,
        drops=r'^layer5\.',
        summed_head=True,
        convention=CAFFE,
    ),
    Format(
        'daformer_ema',
        'DAFormer / SePiCo / ATP, teacher (ema_model.)',
        lambda state: False,
        partial(rename.rename_daformer, prefix='ema_model.'),
        drops=r'^(model|imnet_model)\.',
        convention=IMAGENET,
    ),
)

#: All formats by name; the names are what a network's ``source['converter']`` may say.
BY_NAME: dict[str, Format] = {f.name: f for f in (*FORMATS, *_VARIANTS)}


def recognise(state: Mapping[str, Tensor]) -> Format | None:
    """The first format whose keys and shapes the state dict has."""
    return next((f for f in FORMATS if f.matches(state)), None)


#: Names under which programs keep the weights of a network, the plainest first.
WRAPPERS = (
    'state_dict', 'model', 'model_state_dict', 'net', 'network', 'net_state_dict', 'weights',
    'params', 'module', 'student', 'teacher', 'ema', 'model_ema', 'state_dict_ema',
    'ema_state_dict',
)  # fmt: skip
#: What wrappers of modules put in front of every key: DataParallel, ``torch.compile``.
PREFIXES = ('module.', '_orig_mod.')


def flat_state(content: Any) -> State:
    """The state dict inside a checkpoint file, see :func:`unwrapped`."""
    return unwrapped(content)[0]


def unwrapped(content: Any) -> tuple[State, str]:
    """The state dict inside a checkpoint file, and where it was; '' if it was bare.

    It may stand under one of :data:`WRAPPERS`, in two parts (``feature_extractor``,
    ``classifier``), or bare; the prefixes of wrapped modules and an average's counter are removed.

    Raises:
        BenchError: Several networks are in the file, and nothing tells which is meant.
    """
    if not isinstance(content, Mapping):
        return {}, ''
    names = ('feature_extractor', 'classifier')
    parts = {name: content[name] for name in names if isinstance(content.get(name), Mapping)}
    if len(parts) == 2:
        state = {
            f'{name}.{key}': value
            for name, part in parts.items()
            for key, value in _without_prefixes(tensors_only(part))[0].items()
        }
        return state, 'in two parts'
    found = {
        name: tensors_only(content[name])
        for name in WRAPPERS
        if isinstance(content.get(name), Mapping) and tensors_only(content[name])
    }
    place: str | None = next((name for name in ('state_dict', 'model') if name in found), None)
    if place is None and len(found) > 1:
        listed = ', '.join(f'{name} ({len(part)} tensors)' for name, part in found.items())
        raise BenchError(
            f'the file holds several networks: {listed}',
            'one state dict, bare or in `state_dict`',
            "save the one that you mean: torch.save({'state_dict': content['NAME']}, FILE)",
        )
    place = place or next(iter(found), '')
    state, prefixes = _without_prefixes(found[place] if place else tensors_only(content))
    told = [f'under `{place}`'] if place and (place != 'state_dict' or len(found) > 1) else []
    others = [name for name in found if name != place]
    if others:
        told.append(f'there are others under {", ".join(f"`{name}`" for name in others)}')
    told += [f'behind the prefix `{prefix}`' for prefix in prefixes]
    return state, ', '.join(told)


def _without_prefixes(state: State) -> tuple[State, list[str]]:
    """Keys without what wrappers put in front of all of them, and what that was."""
    removed: list[str] = []
    state = dict(state)
    while True:
        counter = state.pop('n_averaged', None)  # of torch's AveragedModel
        prefix = next((p for p in PREFIXES if state and all(k.startswith(p) for k in state)), None)
        if prefix is None:
            return (state if counter is None else {'n_averaged': counter, **state}), removed
        removed.append(prefix)
        state = {key[len(prefix) :]: value for key, value in state.items()}


def hints(form: Format, content: Any, state: Mapping[str, Tensor]) -> list[str]:
    """What the keys do not decide but the file suggests."""
    out = []
    meta = content.get('meta') if isinstance(content, Mapping) else None
    if form.name == 'mmseg':
        newer = isinstance(meta, Mapping) and ('mmengine_version' in meta or 'dataset_meta' in meta)
        out.append('written by mmseg 1.x' if newer else 'written by mmseg 0.x, or bare keys')
    if form.name == 'resnet_imagenet' and 'conv1.weight' in state:
        caffe = state['conv1.weight'].float().std().item() < 0.05
        out.append(
            'small stem weights: Caffe (0-255 input, stride in the first 1x1)'
            if caffe
            else 'large stem weights: torchvision (unit-variance input, stride in the 3x3)'
        )
    if form.name == 'dlv2':
        aux = value_channels(state, 'layer5.conv2d_list.0.weight') == 1024
        out.append('multi-level: layer6 main, layer5 auxiliary' if aux else 'single head')
    return out
