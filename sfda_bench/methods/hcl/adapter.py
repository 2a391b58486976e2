"""HCL: historical contrastive learning, remembering past models instead of source data.

Huang, Guan, Xiao, Lu: Model Adaptation: Historical Contrastive Learning for Unsupervised Domain
Adaptation without Source Data, NeurIPS 2021, arXiv 2110.03374; code ``trainer_hcl.py``.

Faithful to the code: both losses, class weights, average, history, order of an iteration. Deviates:
the batch is normalised as one, not in three parts; the clean forward follows the step.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from sfda_bench.adapt.class_weights import RareClassWeights
from sfda_bench.adapt.features import encoder_map, size_of
from sfda_bench.adapt.mean_teacher import MeanTeacherAdapter
from sfda_bench.adapt.norm import quiet, set_norm_mode
from sfda_bench.errors import BenchError
from sfda_bench.registry import MODELS


@dataclass
class Outputs:
    """What a network gives for a batch.

    Attributes:
        main: Logits (N, K, h, w) of the decode head.
        auxiliary: Logits of the auxiliary head; None where the network has none.
        features: (N, C, h, w) of the layer that is projected.
    """

    main: Tensor
    auxiliary: Tensor | None
    features: Tensor


def outputs_of(network: Any, images: Tensor, layer: str) -> Outputs:
    """Both heads and one layer of a mmseg network in one forward.

    Args:
        network: A mmseg segmentor.
        images: (N, 3, H, W).
        layer: Name of a sub-module of the backbone, or ``'head_input'`` for the map that the
            decode head reads.

    Raises:
        BenchError: The backbone has no such layer.
    """
    caught: list[Tensor] = []
    handle = None
    if layer != 'head_input':
        try:
            module = network.backbone.get_submodule(layer)
        except AttributeError as error:
            names = ', '.join(name for name, _ in network.backbone.named_children())
            raise BenchError(
                f'the backbone has no layer {layer!r}', f'one of: {names}', 'set feature_layer'
            ) from error
        handle = module.register_forward_hook(lambda _, __, output: caught.append(output))
    try:
        maps = network.extract_feat(images)
    finally:
        if handle is not None:
            handle.remove()
    features = caught[-1] if caught else encoder_map(network.decode_head, maps)
    head = auxiliary_head(network)
    return Outputs(network.decode_head(maps), None if head is None else head(maps), features)


def auxiliary_head(network: Any) -> Any:
    """The network's auxiliary head, the first of several, or None."""
    head = getattr(network, 'auxiliary_head', None)
    return head[0] if isinstance(head, nn.ModuleList) else head


def projector(channels: int, hidden: int, projection: int) -> nn.Sequential:
    """Two 1x1 convolutions around a batch norm; weights from N(0, 0.01)."""
    layers = nn.Sequential(
        nn.Conv2d(channels, hidden, 1),
        nn.BatchNorm2d(hidden),
        nn.ReLU(),
        nn.Conv2d(hidden, projection, 1),
    )
    for layer in layers:
        if isinstance(layer, nn.Conv2d) and layer.bias is not None:
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)
    return layers


@MODELS.register_module()
class HCL(MeanTeacherAdapter):
    """A student between two of its past: the average M and the historical snapshot H.

    An iteration:

    1. ``HistoricalModelHook`` averages M, whose buffers are copied.
    2. M and H see the branch ``plain``, the student the augmented branch ``student``.
    3. The losses ``category`` on the main head and ``auxiliary`` on the auxiliary one, where there
       is one (:class:`~sfda_bench.methods.hcl.losses.HistoricalCategoryLoss`), and ``instance``
       (:class:`~sfda_bench.methods.hcl.losses.InstanceContrastLoss`) on projected features.
    4. The step; :class:`~sfda_bench.adapt.clean_forward.CleanForwardHook` forwards the branch
       ``clean``; at every 300th iteration the first hook sets M and H to the student.

    Args:
        segmentor: See :class:`~sfda_bench.adapt.adapter.Adapter`.
        feature_layer: What is projected, see :func:`outputs_of`.
        hidden: Channels inside the projector.
        projection: Channels of its output.
        max_value: See :class:`~sfda_bench.adapt.class_weights.RareClassWeights`.
        small_pixels: Likewise.
        teacher_mode: Batch norm of M and H.
        **kwargs: See :class:`~sfda_bench.adapt.mean_teacher.MeanTeacherAdapter`.
    """

    student_like = ('student', 'teacher', 'history')
    #: M and H are forwarded.
    passes = (1, 2)

    def __init__(
        self,
        segmentor: dict[str, Any],
        feature_layer: str = 'layer3',
        hidden: int = 2048,
        projection: int = 128,
        max_value: float = 7.0,
        small_pixels: int = 4096,
        teacher_mode: Literal['eval', 'train', 'batch'] = 'train',
        **kwargs: Any,
    ) -> None:
        super().__init__(segmentor, teacher_mode=teacher_mode, **kwargs)
        self.feature_layer = feature_layer
        self.history = copy.deepcopy(self.student).requires_grad_(False)
        self.class_weights = RareClassWeights(self.num_classes, max_value, small_pixels)
        self.projector = projector(self._channels(), hidden, projection)
        self.teacher_projector = copy.deepcopy(self.projector).requires_grad_(False)
        self.train(self.training)

    def _channels(self) -> int:
        """Of the layer that is projected, from one small forward."""
        network: nn.Module = copy.deepcopy(self.student).eval()
        with torch.no_grad():
            found = outputs_of(network, torch.zeros(1, 3, 64, 64), self.feature_layer)
        return int(found.features.shape[1])

    @property
    def heads(self) -> list[Any]:
        """All heads that are trained, for the benchmark."""
        auxiliary = auxiliary_head(self.student)
        return [self.student.decode_head, *([] if auxiliary is None else [auxiliary])]

    def averaged(self) -> list[tuple[nn.Module, nn.Module]]:
        """Network and projector of M."""
        return [(self.teacher, self.student), (self.teacher_projector, self.projector)]

    def historical(self) -> list[tuple[nn.Module, nn.Module]]:
        """Network of H, whose projections no loss reads."""
        return [(self.history, self.student)]

    def train(self, mode: bool = True) -> HCL:
        """Set training mode; H is in the mode of M."""
        ready = hasattr(self, 'teacher_projector')
        if not ready:
            nn.Module.train(self, mode)
            return self
        super().train(mode)
        if mode:
            self.history.train(self.teacher_mode != 'eval')
            if self.teacher_mode != 'eval':
                set_norm_mode(self.history, self.teacher_mode)
                quiet(self.history)
        return self

    def losses(self, views: dict[str, Tensor]) -> dict[str, Tensor]:
        """The losses, weighted.

        Args:
            views: Branches of :class:`~sfda_bench.methods.hcl.crops.HistoricalCrops`; a plain
                labelled ``image`` is both.
        """
        student = 'student' if 'student' in views else 'image'
        plain = 'plain' if 'plain' in views else 'image'
        labels, key_labels = views[f'{student}_label'], views[f'{plain}_label']
        size = size_of(labels)
        with torch.no_grad():
            average = outputs_of(self.teacher, views[plain], self.feature_layer)
            keys = self.teacher_projector(average.features)
            history = outputs_of(self.history, views[plain], self.feature_layer)
        found = outputs_of(self.student, views[student], self.feature_layer)
        self.note_prediction(found.main)
        weights = self.class_weights(labels)
        losses = self.category('category', found.main, labels, weights, history.main, average.main)
        first = average.main
        if found.auxiliary is not None:
            first, past = needed_maps(average.auxiliary), needed_maps(history.auxiliary)
            losses |= self.category('auxiliary', found.auxiliary, labels, weights, past, first)
        return {
            **losses,
            **self.term(
                'instance',
                self.projector(found.features),
                labels,
                keys=keys,
                key_labels=key_labels,
                key_logits=self.resized(first, size),
            ),
        }

    def category(
        self,
        name: str,
        logits: Tensor,
        labels: Tensor,
        class_weights: Tensor,
        historical: Tensor,
        average: Tensor,
    ) -> dict[str, Tensor]:
        """A category loss from logits at any resolution."""
        size = size_of(labels)
        return self.term(
            name,
            self.resized(logits, size),
            labels,
            historical=self.resized(historical, size),
            average=self.resized(average, size),
            class_weights=class_weights,
        )


def needed_maps(maps: Tensor | None) -> Tensor:
    """The auxiliary logits of a past model, which has the student's heads."""
    if maps is None:
        raise BenchError('a past model without an auxiliary head', "the student's structure")
    return maps
