"""The base of all adapters: a model that *has* a segmentor and trains it without labels.

An adapter is a mmseg model, so a stage stays a stock mmengine ``Runner``. It wires views of the
target images to losses; the segmentor inside is any mmseg network, loads a plain source checkpoint
and is exported as one.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Literal

import torch
from mmseg.models.segmentors.base import BaseSegmentor
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from sfda_bench.adapt.branches import BranchPreprocessor, views_of
from sfda_bench.adapt.losses import build_losses
from sfda_bench.adapt.norm import NormMode, quiet, set_norm_mode
from sfda_bench.errors import BenchError, require_known
from sfda_bench.networks.segmentor import Segmentor
from sfda_bench.registry import MODELS

Trainable = Literal['all', 'norm_affine', 'none']


@MODELS.register_module()
class Adapter(BaseSegmentor):
    """Losses on the student alone; a method overrides :meth:`losses`.

    Args:
        segmentor: Config of the network (a mmseg segmentor with its data preprocessor).
        norm_mode: What the student's batch-norm layers do during adaptation, see
            :func:`~sfda_bench.adapt.norm.set_norm_mode`.
        losses: Configs of the method's losses by name, see
            :class:`~sfda_bench.adapt.losses.AdaptationLoss`; in use as ``self.terms[name]``.
        trainable: Which parameters receive gradients: ``'all'``, ``'norm_affine'`` (weight and
            bias of normalisation layers, as in Tent) or ``'none'``.
        dropout: Whether dropout and drop-path layers of the student are active.
        init_cfg: Kept for mmengine; weights come from the parent stage's checkpoint.
    """

    #: Modules that are loaded from a plain source checkpoint (a teacher adds its name).
    student_like: tuple[str, ...] = ('student',)
    #: Modules that stay in evaluation mode throughout.
    frozen: tuple[str, ...] = ()
    #: Passes of a step for the benchmark: student forward and backward, frozen network forward.
    passes: tuple[int, int] = (1, 0)

    def __init__(
        self,
        segmentor: dict[str, Any],
        losses: dict[str, dict[str, Any]] | None = None,
        norm_mode: NormMode = 'train',
        trainable: Trainable = 'all',
        dropout: bool = True,
        init_cfg: dict | None = None,
    ) -> None:
        segmentor = dict(segmentor)
        preprocessor = segmentor.pop('data_preprocessor', None)
        preprocessor = BranchPreprocessor(preprocessor or {'type': 'BaseDataPreprocessor'})
        super().__init__(data_preprocessor=preprocessor, init_cfg=init_cfg)
        self.student = MODELS.build(segmentor)
        self.terms = build_losses(losses or {})
        self.norm_mode = norm_mode
        self.trainable = require_known('trainable', trainable, ('all', 'norm_affine', 'none'))
        self.dropout = dropout
        self.prediction_histogram: Tensor | None = None
        self._set_trainable()
        self._register_load_state_dict_pre_hook(self._accept_plain_checkpoint)

    # --- what a method overrides ----------------------------------------------------------------

    def losses(self, views: dict[str, Tensor]) -> dict[str, Tensor]:
        """Losses on one batch of unlabelled target images.

        Args:
            views: ``{'image': (N, 3, H, W)}``, normalised as the network expects; with
                ``'image_label'`` (N, H, W) when a stage trains on pseudo-labels, and with the
                branches' names when it trains on paired data sets.

        Returns:
            Named values; those with ``loss`` in their name are summed and minimised.
        """
        raise NotImplementedError(f'{type(self).__name__} must define losses(views)')

    # --- what methods use -----------------------------------------------------------------------

    def term(self, name: str, *args: Any, **shared: Any) -> dict[str, Tensor]:
        """One of the method's losses under the name that it is logged by.

        Args:
            name: Its name in the config.
            *args: Logits, labels, weight: see :class:`~sfda_bench.adapt.losses.AdaptationLoss`.
            **shared: What the loss takes besides.

        Raises:
            BenchError: The config states no such loss.
        """
        if name not in self.terms:
            raise BenchError(
                f'{type(self).__name__} without a loss {name!r}: '
                f'{", ".join(self.terms) or "none"} stated',
                "losses=dict(...) of the method's config",
                'python tools/run_suite.py list losses',
            )
        loss: Any = self.terms[name]
        return {loss.loss_name: loss(*args, **shared)}

    @property
    def num_classes(self) -> int:
        """Number of output channels of the student."""
        return self.student.decode_head.num_classes

    def logits(self, images: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        """Student logits (N, C, h, w) at feature resolution, or at ``size`` = (H, W) if given."""
        output = self.logits_of(self.student, images)
        self.note_prediction(output)
        return output if size is None else self.resized(output, size)

    def logits_of(
        self, network: Segmentor, images: Tensor, size: tuple[int, int] | None = None
    ) -> Tensor:
        """Logits of any network of the student's kind, as :meth:`logits`."""
        output = network.decode_head(network.extract_feat(images))
        return output if size is None else self.resized(output, size)

    def resized(self, logits: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
        """``logits`` at another size, as the network's head resizes them."""
        size = (int(size[0]), int(size[1]))
        if logits.shape[-2:] == size:
            return logits
        return nn.functional.interpolate(
            logits, size=size, mode='bilinear', align_corners=self.align_corners
        )

    @torch.no_grad()
    def note_prediction(self, logits: Tensor) -> None:
        """Keep the class histogram of ``logits``, at any resolution, for the early warnings.

        While the adapter trains: nothing reads it elsewhere. No ``bincount``, which on a GPU waits
        for the host.
        """
        if self.training:
            labels = logits.detach().argmax(dim=1).flatten()
            counts = torch.zeros(logits.shape[1], dtype=torch.int64, device=labels.device)
            self.prediction_histogram = counts.index_add_(0, labels, torch.ones_like(labels))

    # --- wiring ---------------------------------------------------------------------------------

    def _set_trainable(self) -> None:
        if self.trainable == 'all':
            return
        self.student.requires_grad_(False)
        if self.trainable == 'norm_affine':
            layers = [
                m for m in self.student.modules() if isinstance(m, (_BatchNorm, nn.LayerNorm))
            ]
            parameters = [p for m in layers for p in m.parameters()]
            if not parameters:
                raise BenchError(
                    f'the network of {type(self).__name__} has no affine normalisation layers',
                    'batch-norm or layer-norm parameters to train',
                    'use another network, or trainable="all"',
                )
            for parameter in parameters:
                parameter.requires_grad_(True)

    def train(self, mode: bool = True) -> Adapter:
        """Set training mode; the loop calls this before every iteration."""
        super().train(mode)
        if mode:
            set_norm_mode(self.student, self.norm_mode)
            if not self.dropout:
                quiet(self.student)
            for name in self.frozen:
                # this runs during construction too
                if hasattr(self, name):
                    getattr(self, name).eval()
        return self

    def export_module(self) -> nn.Module:
        """The network that is scored and handed on."""
        return self.student

    def _accept_plain_checkpoint(self, state_dict: OrderedDict, prefix: str, *_: Any) -> None:
        """Fill every student-like module from a plain segmentor checkpoint."""
        own = set(self.student_like)
        keys = [key for key in state_dict if key.startswith(prefix)]
        if any(key[len(prefix) :].split('.')[0] in own for key in keys):
            return
        expected = set(self.student.state_dict())
        found = {key[len(prefix) :] for key in keys}
        missing = sorted(k for k in expected - found if not k.endswith('num_batches_tracked'))
        left = sorted(found - expected)
        if missing or left:
            raise BenchError(
                f'the source checkpoint does not fit the network: {len(missing)} keys missing '
                f'({", ".join(missing[:3])} ...), {len(left)} left over '
                f'({", ".join(left[:3])} ...)',
                'exactly the keys of the plain segmentor',
                'python tools/convert_checkpoint.py inspect FILE',
            )
        for key in keys:
            value = state_dict.pop(key)
            for name in self.student_like:
                state_dict[f'{prefix}{name}.{key[len(prefix) :]}'] = value.clone()

    # --- mmseg's segmentor interface ------------------------------------------------------------

    @property
    def align_corners(self) -> bool:
        """How the student's head resizes its logits."""
        return self.student.align_corners

    def loss(self, inputs: Any, data_samples: Any = None) -> dict[str, Tensor]:
        """Losses of one training batch, see :func:`~sfda_bench.adapt.branches.views_of`."""
        return self.losses(views_of(inputs, data_samples))

    def extract_feat(self, inputs: Tensor) -> Any:
        """Features of the student."""
        return self.student.extract_feat(inputs)

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Logits of the student, as mmseg defines them."""
        return self.student.encode_decode(inputs, batch_img_metas)

    def predict(self, inputs: Tensor, data_samples: list | None = None) -> list:
        """Predictions of the exported network."""
        exported: Any = self.export_module()
        return exported.predict(inputs, data_samples)

    def _forward(self, inputs: Tensor, data_samples: list | None = None) -> Any:
        return self.student._forward(inputs, data_samples)
