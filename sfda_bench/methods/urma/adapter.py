"""URMA: learn class-balanced pseudo-labels, be certain, and be so under dropped features.

S and Fleuret, Uncertainty Reduction for Model Adaptation in Semantic Segmentation, CVPR 2021, doi
10.1109/CVPR46437.2021.00949; code idiap/model-uncertainty-for-adaptation, of which the cross-city
program alone is released.

Faithful: the three losses with their weights, four decoders behind channel dropout of 0.5 from
random weights, the detached target, trained batch norm but for the stem's, rates per part.
Deviates: the classifier is frozen, which the released flag says and does not do; padding is ignored
instead of being road. Both can be had as released.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sfda_bench.adapt.adapter import Adapter
from sfda_bench.adapt.features import size_of
from sfda_bench.adapt.norm import norm_layers, quiet
from sfda_bench.errors import BenchError
from sfda_bench.labels import IGNORE
from sfda_bench.methods.urma.decoders import DropoutDecoder
from sfda_bench.methods.urma.views import PADDING
from sfda_bench.registry import MODELS


@MODELS.register_module()
class URMA(Adapter):
    """Cross-entropy on labels of an earlier stage, entropy, disagreement of decoders.

    An iteration, no hooks:

    1. One pass of the encoder; the main head reads its features, each decoder the same features
       with half of the channels dropped.
    2. At the size of the view the losses ``label`` on the labelled pixels; ``entropy`` and
       ``uncertainty`` on all, padding left out; ``diversity`` if the config states it.
    3. The step; the decoders are no part of what is handed on.

    Args:
        segmentor: See :class:`~sfda_bench.adapt.adapter.Adapter`.
        decoders: How many there are.
        decoder_dropout: Share of the channels that is dropped before each.
        freeze_classifier: Keep the main head as it is (what the code's flag says), or train it
            (what the code does).
        pad_label: Label of padding, 255: padding is left out of all losses; the released code has
            0, by which it is trained as road and counts in all losses.
        norm_affine: Train scale and shift of all batch norm but the stem's, where the network
            freezes them.
        dropout: Of the network's own.
        **kwargs: See :class:`~sfda_bench.adapt.adapter.Adapter`.
    """

    def __init__(
        self,
        segmentor: dict[str, Any],
        decoders: int = 4,
        decoder_dropout: float = 0.5,
        freeze_classifier: bool = True,
        pad_label: int = IGNORE,
        norm_affine: bool = True,
        dropout: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(segmentor, dropout=dropout, **kwargs)
        if decoders < 1:
            raise BenchError(f'{decoders} decoders', '1 or more (uncertainty.loss_weight=0: none)')
        if not 0 <= pad_label <= IGNORE or pad_label == PADDING:
            raise BenchError(f'pad_label {pad_label}', 'a class, or 255 for none')
        self.pad_label, self.freeze_classifier = pad_label, freeze_classifier
        if norm_affine:
            self._free_affine()
        if freeze_classifier:
            self.classifier.requires_grad_(False)
        self.decoders = nn.ModuleList(
            DropoutDecoder(segmentor['decode_head'], decoder_dropout) for _ in range(decoders)
        )

    @property
    def classifier(self) -> nn.Module:
        """The main head."""
        head: Any = self.student.decode_head
        return head

    def _free_affine(self) -> None:
        stem = getattr(self.student.backbone, 'norm1', None)
        for layer in norm_layers(self.student):
            layer.requires_grad_(layer is not stem)

    def losses(self, views: dict[str, Tensor]) -> dict[str, Tensor]:
        """Losses on ``image`` with its labels."""
        images, labels = views['image'], views['image_label']
        inside = labels != PADDING
        labels = torch.where(inside, labels, self.pad_label)
        weight = inside.to(images) if self.pad_label == IGNORE else None
        features = self.student.extract_feat(images)
        logits = self.student.decode_head(features)
        self.note_prediction(logits)
        size = size_of(images)
        logits = self.resized(logits, size)
        found = {
            **self.term('label', logits, labels),
            **self.term('entropy', logits, None, weight),
        }
        decoded = [self.resized(decoder(features), size) for decoder in self.decoders]
        found |= self.term('uncertainty', logits, None, weight, decoders=decoded)
        if 'diversity' in self.terms:
            found |= self.term('diversity', logits, None, weight)
        found['labelled'] = (labels != IGNORE).float().mean()
        return found

    def train(self, mode: bool = True) -> URMA:
        """Set training mode: dropout before the decoders alone; a frozen classifier stays still."""
        super().train(mode)
        if mode and hasattr(self, 'decoders'):
            for decoder in self.decoders.children():
                quiet(decoder.get_submodule('head'))
            if self.freeze_classifier:
                self.classifier.eval()
        return self
