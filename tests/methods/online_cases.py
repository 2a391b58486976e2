"""A tiny network and frames on it, for the values of test-time methods computed elsewhere."""

from __future__ import annotations

import copy
import io
from types import SimpleNamespace

import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from sfda_bench.registry import MODELS
from tests.methods.helpers import stage_of

WEIGHT, BIAS = [[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]], [0.0, 0.0, 0.5]


class Classifier(nn.Conv2d):
    """A 1x1 convolution that says what decode heads say of themselves."""

    num_classes, align_corners = 3, False

    def predict_by_feat(self, logits: Tensor, metas: list[dict]) -> Tensor:
        return logits


class NormThenClassifier(nn.Module):
    """Norm of two channels, then three classes.

    Args:
        scale: Weight of the norm.
    """

    align_corners = False
    test_cfg: dict = {}  # noqa: RUF012

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.backbone = nn.BatchNorm2d(2)
        self.decode_head = Classifier(2, 3, 1)
        with torch.no_grad():
            self.backbone.weight.fill_(scale)
            self.decode_head.weight.copy_(torch.tensor(WEIGHT)[..., None, None])
            self.decode_head.bias.copy_(torch.tensor(BIAS))

    def extract_feat(self, images: Tensor) -> Tensor:
        return self.backbone(images)

    def postprocess_result(self, maps: Tensor, samples: list) -> None:
        for sample, scores in zip(samples, maps, strict=True):
            best = scores.argmax(dim=0, keepdim=True)
            sample.pred_sem_seg = SimpleNamespace(data=best)
            sample.seg_logits = None


def online(method: str, scale: float = 1.0, optimizer: dict | None = None, **changes):
    """A method's adapter on the tiny network, configured, with its optimiser.

    Args:
        method: Whose config is used.
        scale: Weight of the norm.
        optimizer: Changes to its optimiser.
        **changes: To the adapter; ``double=True``: in double precision.
    """
    init_default_scope('sfda_bench')
    double = changes.pop('double', False)
    stage = stage_of(method, 'stream')
    config = {**stage['adapter'], **changes, 'upsample_steps': 1}
    segmentor = {'type': NormThenClassifier, 'scale': scale}
    model = MODELS.build({**config, 'segmentor': segmentor})
    if double:
        model = model.double()
    wrapper = None
    if stage.get('optim_wrapper'):
        wrap = copy.deepcopy(stage['optim_wrapper'])
        wrap['optimizer'].update(optimizer or {})
        wrapper = build_optim_wrapper(model, wrap)
    model.configure(wrapper)
    return model, wrapper


def frame(values, condition: str = '', number: int = 1) -> dict:
    """An image (2, H, W) as a loader collates it."""
    image = torch.as_tensor(values)
    size = tuple(image.shape[-2:])
    meta = {
        'img_shape': size, 'pad_shape': size, 'ori_shape': size, 'condition': condition,
        'round': number,
    }  # fmt: skip
    return {'inputs': image[None], 'data_samples': [SegDataSample(metainfo=meta)]}


def saved_and_loaded(model, wrapper):
    """Both as a stream's checkpoint gives them back."""
    file = io.BytesIO()
    torch.save({'model': model, 'optim_wrapper': wrapper}, file)
    file.seek(0)
    content = torch.load(file, weights_only=False)
    return content['model'], content['optim_wrapper']


def flat(*tensors: Tensor) -> list[float]:
    """All elements in a row."""
    return torch.cat([tensor.detach().double().flatten() for tensor in tensors]).tolist()


def state(model: nn.Module) -> dict[str, Tensor]:
    """A copy of the student's state."""
    return {name: value.clone() for name, value in model.student.state_dict().items()}
