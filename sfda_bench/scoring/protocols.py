"""Protocols: the frozen, versioned objects inside which numbers may be compared.

An *inference protocol* says how a prediction is made, a *scoring protocol* which classes are
averaged and how, on stored counts: its variants cost nothing. A field that decides a number is
never changed, only raised to a new version: ``frozen.yaml`` holds the hash of each.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sfda_bench.errors import BenchError, require_known
from sfda_bench.paths import CONFIGS
from sfda_bench.scoring.files import parse, read_yaml

PROTOCOLS = CONFIGS / 'protocols'
Size = tuple[int, int]


class Protocol(BaseModel):
    """What both kinds share: a name, a version, and a hash of the fields that decide a number."""

    model_config = ConfigDict(extra='forbid', frozen=True)
    prose: ClassVar[set[str]] = {'title', 'notes', 'source'}
    #: Fields that came later: at their default they mean what was meant before they were there.
    later: ClassVar[set[str]] = set()

    id: str = Field(pattern=r'^[a-z0-9_]+$')
    version: int = Field(ge=1)
    title: str
    source: str = ''
    notes: str = ''

    @property
    def ref(self) -> str:
        """``id@version``, as written into records."""
        return f'{self.id}@{self.version}'

    @property
    def digest(self) -> str:
        """SHA-256 (16 hex digits) of every field but the prose."""
        fields = type(self).model_fields
        same = {name for name in self.later if getattr(self, name) == fields[name].default}
        dumped = self.model_dump(mode='json', exclude=self.prose | same)
        content = json.dumps(dumped, sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:16]


class Resize(BaseModel):
    """How an image is brought to the input size; ``torch`` resizes the normalised tensor."""

    model_config = ConfigDict(extra='forbid', frozen=True)
    lib: Literal['pillow', 'cv2', 'torch']
    mode: Literal['bilinear', 'bicubic']
    antialias: bool

    @model_validator(mode='after')
    def _library_can(self) -> Resize:
        # Pillow always widens its kernel when it shrinks an image, OpenCV never does.
        if self.antialias != (self.lib == 'pillow'):
            raise ValueError('pillow resizing is anti-aliased, cv2 and torch resizing is not')
        if self.lib == 'torch' and self.mode != 'bilinear':
            raise ValueError('a tensor is resized by bilinear interpolation')
        return self

    @property
    def on_tensor(self) -> bool:
        """Whether the network's input is resized, not the image."""
        return self.lib == 'torch'


WHOLE: dict[str, Callable[[float], int]] = {
    'round': round,
    'floor': int,
    'half_up': lambda value: int(value + 0.5),
}


class View(BaseModel):
    """One forward pass: the input size in pixels and whether the image is mirrored."""

    model_config = ConfigDict(frozen=True)
    size: Size
    flip: bool


class Window(BaseModel):
    """A sliding window, (width, height) in pixels; logits are averaged where windows overlap.

    The last one of a row or column ends with the image; a smaller image is one window, unpadded.
    """

    model_config = ConfigDict(extra='forbid', frozen=True)
    crop: Size
    stride: Size


class InferenceProtocol(Protocol):
    """How a prediction is made; sizes are (width, height), ``None`` = the image's own.

    docs/add_protocol.md tells what each field means. Probabilities are fused over the views, taken
    at ``fuse_at``, multiplied by ``rescale``, and enlarged to the label's size in
    ``upsample_steps``: one, or by way of the input size.
    """

    later: ClassVar[set[str]] = {
        'upsample_steps', 'fuse_at', 'aux_fuse', 'main_weight', 'rounding', 'view_sizes', 'window',
        'rescale',
    }  # fmt: skip

    size: Size | None
    size_by_task: dict[str, Size | None] = Field(default_factory=dict)
    resize: Resize | None
    scales: tuple[float, ...] = (1.0,)
    view_sizes: tuple[Size, ...] = ()
    rounding: Literal['round', 'floor', 'half_up'] = 'round'
    flip: bool = False
    window: Window | None = None
    fuse: Literal['none', 'logits', 'softmax'] = 'none'
    fuse_at: Literal['features', 'input', 'label'] = 'label'
    main_weight: float = 1.0
    aux_weight: float = 0.0
    aux_fuse: Literal['logits', 'scores'] = 'scores'
    rescale: tuple[float, ...] = ()
    upsample: Literal['bilinear', 'bicubic'] = 'bilinear'
    upsample_steps: Literal[1, 2] = 2
    align_corners: bool | Literal['network']
    score_at: Literal['native'] | Size = 'native'

    @model_validator(mode='after')
    def _consistent(self) -> InferenceProtocol:
        several = len(self.scales) > 1 or len(self.view_sizes) > 1 or self.flip
        if (several or self.aux_weight > 0 or bool(self.rescale)) == (self.fuse == 'none'):
            raise ValueError('fuse is needed for several views or class factors, and only then')
        resizes = self.size or any(self.size_by_task.values()) or self.scales != (1.0,)
        if resizes and self.resize is None:
            raise ValueError('resize is needed when the image is resized')
        if not self.scales or min(self.scales) <= 0:
            raise ValueError('scales must be positive')
        if self.view_sizes and self.scales != (1.0,):
            raise ValueError('view_sizes instead of scales, not beside them')
        if self.fuse_at != 'label' and self.fuse != 'softmax':
            raise ValueError('fuse_at says where the soft-max is taken: fuse softmax')
        if self.rescale and self.fuse != 'softmax':
            raise ValueError('rescale multiplies probabilities: fuse softmax')
        return self

    @property
    def stock(self) -> bool:
        """Whether a mmseg segmentor predicts this way by itself."""
        return (
            self.fuse == 'none'
            and self.upsample_steps == 2
            and self.window is None
            and self.upsample == 'bilinear'
            and not (self.resize and self.resize.on_tensor)
        )

    def options(self) -> dict[str, Any]:
        """What ``ProtocolSegmentor`` must know, without fields at their default."""
        names = {
            'fuse', 'fuse_at', 'main_weight', 'aux_weight', 'aux_fuse', 'rescale', 'upsample',
            'upsample_steps', 'align_corners', 'window',
        }  # fmt: skip
        on_tensor = self.resize is not None and self.resize.on_tensor
        if on_tensor:
            names |= {'scales', 'rounding', 'flip'}
        found = self.model_dump(include=names, exclude_defaults=True)
        return found | ({'on_tensor': True} if on_tensor else {})

    def input_size(self, native: Size, task: str | None = None) -> Size:
        """(width, height) the image is brought to, at scale 1, given its native (width, height)."""
        return self.size_by_task.get(task or '', self.size) or native

    def sizes(self, native: Size, task: str | None = None) -> list[Size]:
        """(width, height) of each view without its mirrored twin."""
        if self.view_sizes:
            return list(self.view_sizes)
        width, height = self.input_size(native, task)
        to_int = WHOLE[self.rounding]
        return [(to_int(width * s), to_int(height * s)) for s in self.scales]

    def views(self, native: Size, task: str | None = None) -> list[View]:
        """The forward passes whose scores are fused, e.g. 1024x512 and 1229x614 for scale 1.2."""
        flips = (False, True) if self.flip else (False,)
        return [View(size=s, flip=flip) for s in self.sizes(native, task) for flip in flips]


Convention = Literal['avg', 'masked', 'recomputed']


class ScoringProtocol(Protocol):
    """Which classes are averaged, and what happens to the others.

    ``labels`` are the K classes of the counts, in order; ``classes`` those averaged (``None`` =
    all). ``avg``: IoU over the full matrix, averaged over ``classes``. ``masked``: truth outside
    ``parent`` (default ``classes``) becomes void first; predictions of other classes stay errors.
    ``recomputed``: rows and columns both restricted to ``classes``, so that a pixel predicted as
    another class leaves the matrix; void predictions stay errors. ``mean_of``: one matrix over all
    ``pixels``, or one a condition and the plain mean of the ``conditions``' results.
    """

    later: ClassVar[set[str]] = {'mean_of'}

    label_space: str
    labels: tuple[str, ...]
    classes: tuple[str, ...] | None = None
    convention: Convention = 'avg'
    parent: tuple[str, ...] | None = None
    per_condition: bool = False
    mean_of: Literal['pixels', 'conditions'] = 'pixels'

    @model_validator(mode='after')
    def _subsets(self) -> ScoringProtocol:
        for names in (self.classes, self.parent):
            unknown = sorted(set(names or ()) - set(self.labels))
            if unknown:
                raise ValueError(f'not labels of {self.label_space}: {", ".join(unknown)}')
        if self.parent is not None and self.convention != 'masked':
            raise ValueError("parent is for the 'masked' convention")
        if self.mean_of == 'conditions' and not self.per_condition:
            raise ValueError('a mean of conditions is scored per condition')
        return self

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes averaged, in label order."""
        chosen = set(self.classes or self.labels)
        return tuple(name for name in self.labels if name in chosen)

    @property
    def indices(self) -> list[int]:
        """Their indices among ``labels``."""
        return [self.labels.index(name) for name in self.class_names]

    @property
    def kept_rows(self) -> list[int]:
        """Indices of the labels whose truth is scored under the ``masked`` convention."""
        kept = set(self.parent or self.class_names)
        return [i for i, name in enumerate(self.labels) if name in kept]


def split_ref(ref: str) -> tuple[str, int | None]:
    """``'id@2'`` -> ``('id', 2)``; ``'id'`` -> ``('id', None)``."""
    name, _, version = ref.partition('@')
    if version and not version.isdigit():
        raise BenchError(f'protocol reference {ref!r}', "'id' or 'id@version', e.g. camvid@1")
    return name, int(version) if version else None


def names(kind: Literal['inference', 'scoring'], root: Path = PROTOCOLS) -> list[str]:
    """Ids of all protocols of a kind."""
    return sorted(path.stem for path in (Path(root) / kind).glob('*.yaml'))


def _load(model: type[Any], kind: Literal['inference', 'scoring'], ref: str, root: Path) -> Any:
    name, version = split_ref(ref)
    require_known(f'{kind} protocol', name, names(kind, root))
    path = Path(root) / kind / f'{name}.yaml'
    protocol = parse(model, read_yaml(path), str(path))
    if protocol.id != name:
        raise BenchError(f'{path} holds id {protocol.id!r}', f'id {name!r}', 'rename the file')
    if version not in (None, protocol.version):
        raise BenchError(
            f'{kind} protocol {ref}, but the current version is {protocol.ref}',
            'a record of the current version',
            'score the entry again, or check out the commit that wrote it',
        )
    return protocol


@lru_cache(maxsize=128)
def load_inference(ref: str, root: Path = PROTOCOLS) -> InferenceProtocol:
    """Load an inference protocol by ``id`` or ``id@version``.

    Raises:
        BenchError: There is none, the file is not valid, or it holds another version.
    """
    return _load(InferenceProtocol, 'inference', ref, root)


@lru_cache(maxsize=128)
def load_scoring(ref: str, root: Path = PROTOCOLS) -> ScoringProtocol:
    """Load a scoring protocol by ``id`` or ``id@version``."""
    return _load(ScoringProtocol, 'scoring', ref, root)
