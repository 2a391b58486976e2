"""Prediction as an inference protocol says: views, heads, windows, fusion, enlargement.

mmseg enlarges logits twice, to the input's size and then to the label's; most published testers do
it once, some take probabilities at the head's own resolution, add views, or weigh classes. Where a
protocol is not mmseg's own way, this wrapper predicts, for every network alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.model import BaseTTAModel
from mmengine.structures import PixelData
from PIL import Image
from torch import Tensor, nn

from sfda_bench.registry import MODELS
from sfda_bench.scoring.protocols import WHOLE

Size = tuple[int, int]


@MODELS.register_module()
class ProtocolSegmentor(BaseTTAModel):
    """A segmentor that predicts each image, in all its views, by an inference protocol.

    The scores of a view, (1, K, h, w), go through: heads weighed, soft-max and class factors at
    ``fuse_at``, enlargement to the label's size, mirroring undone; those of all views are added,
    one after the other, so that two full-size maps are held at a time.

    Args:
        module: The segmentor.
        options: The fields of :class:`~sfda_bench.scoring.protocols.InferenceProtocol` that matter
            here: ``fuse``, ``fuse_at``, ``main_weight``, ``aux_weight``, ``aux_fuse``,
            ``rescale``, ``upsample``, ``upsample_steps``, ``align_corners``, ``window``,
            ``scales``, ``rounding``, ``flip``, ``on_tensor``.
    """

    module: Any

    def __init__(self, module: Any, options: Mapping[str, Any]) -> None:
        super().__init__(module)
        self.options = dict(options)
        # as the protocols say: the auxiliary head counts where the network has one
        head = getattr(self.module, 'auxiliary_head', None)
        self.aux: Any = head[0] if isinstance(head, nn.ModuleList) else head
        if not self.options.get('aux_weight'):
            self.aux = None
        self._factors: Tensor | None = None
        # checkpoints are of the segmentor alone
        self.register_load_state_dict_pre_hook(_prefix)

    def test_step(self, data: dict[str, Any]) -> list:
        """Predict one image; ``data`` holds one list a view if the pipeline made several."""
        inputs = data['inputs']
        several = isinstance(inputs[0], Sequence)
        views = (
            [{key: value[i] for key, value in data.items()} for i in range(len(inputs))]
            if several
            else [data]
        )
        total, samples = None, None
        for view in views:
            batch = self.module.data_preprocessor(view, False)
            samples = samples or batch['data_samples']
            for scores in self._scores(batch['inputs'], batch['data_samples'][0].metainfo):
                total = scores if total is None else total.add_(scores)
        assert samples is not None and total is not None
        best = total[0].argmax(dim=0, keepdim=True)
        samples[0].set_data({'pred_sem_seg': PixelData(data=best)})
        return samples[:1]

    def merge_preds(self, data_samples_list: list) -> list:
        """Not used: views are merged while they are made."""
        raise NotImplementedError('views are merged in test_step')

    # --- one view -------------------------------------------------------------------------------

    def _scores(self, images: Tensor, meta: Mapping[str, Any]) -> list[Tensor]:
        """Scores (1, K, H, W) at label size of each pass that one input stands for."""
        label = (int(meta['ori_shape'][0]), int(meta['ori_shape'][1]))
        if not self.options.get('on_tensor'):
            return [self._pass(images, label, bool(meta.get('flip')))]
        flips = (False, True) if self.options.get('flip') else (False,)
        found = []
        for size in self._tensor_sizes(images):
            resized = self._bilinear(images, size)
            for flip in flips:
                found.append(self._pass(resized.flip(3) if flip else resized, label, flip))
        return found

    def _tensor_sizes(self, images: Tensor) -> list[Size]:
        to_int = WHOLE[self.options.get('rounding', 'round')]
        height, width = images.shape[-2:]
        scales = self.options.get('scales', (1.0,))
        return [(to_int(height * scale), to_int(width * scale)) for scale in scales]

    def _pass(self, images: Tensor, label: Size, mirrored: bool) -> Tensor:
        size = (images.shape[-2], images.shape[-1])
        main, aux = self._logits(images)
        scores = self._fused(main, aux, size, label)
        return scores.flip(3) if mirrored else scores

    def _logits(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Logits of both heads at the head's resolution, or at the input's through windows."""
        if self.options.get('window') is None:
            features = self.module.extract_feat(images)
            main = self.module.decode_head(features)
            return main, None if self.aux is None else self.aux(features)
        return self._windows(images), None

    def _windows(self, images: Tensor) -> Tensor:
        """Logits (1, K, H, W) averaged over a sliding window."""
        window = self.options['window']
        height, width = images.shape[-2:]
        crop = (min(window['crop'][1], height), min(window['crop'][0], width))
        total, count = None, images.new_zeros(1, 1, height, width)
        for top in starts(height, crop[0], window['stride'][1]):
            for left in starts(width, crop[1], window['stride'][0]):
                place = (..., slice(top, top + crop[0]), slice(left, left + crop[1]))
                logits = self.module.decode_head(self.module.extract_feat(images[place]))
                logits = self._bilinear(logits, crop)
                if total is None:
                    total = logits.new_zeros(1, logits.shape[1], height, width)
                total[place] += logits
                count[place] += 1
        assert total is not None
        return total.div_(count)

    def _fused(self, main: Tensor, aux: Tensor | None, size: Size, label: Size) -> Tensor:
        """Heads together, probabilities where the protocol takes them, at the label's size."""
        options = self.options
        weights = (options.get('main_weight', 1.0), options.get('aux_weight', 0.0))
        if aux is not None and options.get('aux_fuse') == 'logits':
            main, aux = weights[0] * main + weights[1] * aux, None
        scores = self._at_label(main, size, label)
        if aux is not None:
            scores = weights[0] * scores + weights[1] * self._at_label(aux, size, label)
        return scores

    def _at_label(self, logits: Tensor, size: Size, label: Size) -> Tensor:
        options = self.options
        place = options.get('fuse_at', 'label')
        if place == 'features':
            return self._enlarged(self._probable(logits), size, label)
        if place == 'input':
            return self._resized(self._probable(self._resized(logits, size)), label)
        return self._probable(self._enlarged(logits, size, label))

    def _probable(self, logits: Tensor) -> Tensor:
        """Probabilities with the classes' factors, or the logits themselves."""
        if self.options.get('fuse', 'none') != 'softmax':
            return logits
        found = logits.softmax(dim=1)
        factors = self.options.get('rescale')
        if not factors:
            return found
        if self._factors is None:  # once: a copy to the device
            self._factors = torch.tensor(factors, dtype=found.dtype).to(found.device)
        return found * self._factors.view(1, -1, 1, 1)

    def _enlarged(self, maps: Tensor, size: Size, label: Size) -> Tensor:
        """Maps at the label's size, at once or by way of the input's."""
        if self.options.get('upsample_steps', 2) == 2:
            maps = self._resized(maps, size)
        return self._resized(maps, label)

    def _resized(self, maps: Tensor, size: Size) -> Tensor:
        if maps.shape[-2:] == size:
            return maps
        if self.options.get('upsample') == 'bicubic':
            return bicubic(maps, size)
        return self._bilinear(maps, size)

    def _bilinear(self, maps: Tensor, size: Size) -> Tensor:
        if maps.shape[-2:] == size:
            return maps
        aligned = self.options.get('align_corners', 'network')
        aligned = self.module.align_corners if aligned == 'network' else bool(aligned)
        return nn.functional.interpolate(maps, size, mode='bilinear', align_corners=aligned)


def starts(length: int, window: int, stride: int) -> list[int]:
    """First pixels of windows that cover ``length``; the last one ends with it."""
    steps = max(0, -(-(length - window) // stride)) + 1
    return [min(i * stride, length - window) for i in range(steps)]


def bicubic(maps: Tensor, size: Size) -> Tensor:
    """Float maps (1, K, h, w) enlarged by Pillow's bicubic filter, one class at a time."""
    width_height = (size[1], size[0])
    planes = [
        np.asarray(Image.fromarray(plane).resize(width_height, Image.Resampling.BICUBIC))
        for plane in maps[0].float().cpu().numpy()
    ]
    return torch.from_numpy(np.stack(planes))[None].to(maps.device)


def _prefix(_: nn.Module, state: dict[str, Tensor], prefix: str, *__: Any) -> None:
    """Let the wrapper load a checkpoint of its segmentor."""
    if any(key.startswith(f'{prefix}module.') for key in state):
        return
    for key in [key for key in state if key.startswith(prefix)]:
        state[f'{prefix}module.{key[len(prefix) :]}'] = state.pop(key)
