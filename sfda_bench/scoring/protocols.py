"""Protocols: the frozen, versioned objects inside which numbers may be compared.

An *inference protocol* says how a prediction is made (size, scales, flip, upsampling); a *scoring
protocol* says which classes are averaged and how, and is applied to stored confusion counts, so
scoring variants cost nothing. Records refer to both as ``id@version``. Changing any field that
decides a number means a new version: ``frozen.yaml`` holds the hash of every version and a test
compares them.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sfda_bench.errors import BenchError, require_known
from sfda_bench.scoring.files import parse, read_yaml

PROTOCOLS = Path(__file__).resolve().parents[2] / 'mm_configs' / 'protocols'
Size = tuple[int, int]


class Protocol(BaseModel):
    """What both kinds share: a name, a version, and a hash of the fields that decide a number."""

    model_config = ConfigDict(extra='forbid', frozen=True)
    prose: ClassVar[set[str]] = {'title', 'notes', 'source'}

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
        content = json.dumps(self.model_dump(mode='json', exclude=self.prose), sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:16]


class Resize(BaseModel):
    """How an image is brought to the input size: library, interpolation, anti-aliasing."""

    model_config = ConfigDict(extra='forbid', frozen=True)
    lib: Literal['pillow', 'cv2']
    mode: Literal['bilinear', 'bicubic']
    antialias: bool

    @model_validator(mode='after')
    def _library_can(self) -> Resize:
        # Pillow always widens its kernel when it shrinks an image, OpenCV never does.
        if self.antialias != (self.lib == 'pillow'):
            raise ValueError('pillow resizing is anti-aliased and cv2 resizing is not')
        return self


class View(BaseModel):
    """One forward pass: the input size in pixels and whether the image is mirrored."""

    model_config = ConfigDict(frozen=True)
    size: Size
    flip: bool


class InferenceProtocol(Protocol):
    """How a prediction is made.

    ``size`` is (width, height), ``None`` = the image's own. ``size_by_task`` overrides it. Several
    ``scales`` and ``flip`` are extra views whose ``fuse``d scores are added; ``aux_weight`` adds
    the auxiliary head's scores where the network has such a head. ``align_corners`` may be left to
    the network. Scores are taken at the label's native size.
    """

    size: Size | None
    size_by_task: dict[str, Size | None] = Field(default_factory=dict)
    resize: Resize | None
    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    fuse: Literal['none', 'logits', 'softmax'] = 'none'
    aux_weight: float = 0.0
    upsample: Literal['bilinear'] = 'bilinear'
    align_corners: bool | Literal['network']
    score_at: Literal['native'] = 'native'

    @model_validator(mode='after')
    def _consistent(self) -> InferenceProtocol:
        several = len(self.scales) > 1 or self.flip or self.aux_weight > 0
        if several == (self.fuse == 'none'):
            raise ValueError('fuse is needed for several views, and only then')
        resizes = self.size or any(self.size_by_task.values()) or self.scales != (1.0,)
        if resizes and self.resize is None:
            raise ValueError('resize is needed when the image is resized')
        if not self.scales or min(self.scales) <= 0:
            raise ValueError('scales must be positive')
        return self

    def input_size(self, native: Size, task: str | None = None) -> Size:
        """(width, height) the image is brought to, at scale 1, given its native (width, height)."""
        return self.size_by_task.get(task or '', self.size) or native

    def views(self, native: Size, task: str | None = None) -> list[View]:
        """The forward passes whose scores are fused, e.g. 1024x512 and 1229x614 for scale 1.2."""
        width, height = self.input_size(native, task)
        sizes = [(round(width * s), round(height * s)) for s in self.scales]
        flips = (False, True) if self.flip else (False,)
        return [View(size=size, flip=flip) for size in sizes for flip in flips]


Convention = Literal['avg', 'masked', 'recomputed']


class ScoringProtocol(Protocol):
    """Which classes are averaged, and what happens to the others.

    ``labels`` are the K classes of the counts, in order; ``classes`` those averaged (``None`` =
    all). ``avg``: IoU over the full matrix, averaged over ``classes``. ``masked``: truth outside
    ``parent`` (default ``classes``) becomes void first; predictions of other classes stay errors.
    ``recomputed``: rows and columns both restricted to ``classes``, so that a pixel predicted as
    another class leaves the matrix; void predictions stay errors.
    """

    label_space: str
    labels: tuple[str, ...]
    classes: tuple[str, ...] | None = None
    convention: Convention = 'avg'
    parent: tuple[str, ...] | None = None
    per_condition: bool = False

    @model_validator(mode='after')
    def _subsets(self) -> ScoringProtocol:
        for names in (self.classes, self.parent):
            unknown = sorted(set(names or ()) - set(self.labels))
            if unknown:
                raise ValueError(f'not labels of {self.label_space}: {", ".join(unknown)}')
        if self.parent is not None and self.convention != 'masked':
            raise ValueError("parent is for the 'masked' convention")
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
        UnknownNameError: No such protocol (with a did-you-mean).
        BenchError: The file is not valid, or holds another version.
    """
    return _load(InferenceProtocol, 'inference', ref, root)


@lru_cache(maxsize=128)
def load_scoring(ref: str, root: Path = PROTOCOLS) -> ScoringProtocol:
    """Load a scoring protocol by ``id`` or ``id@version``; errors as :func:`load_inference`."""
    return _load(ScoringProtocol, 'scoring', ref, root)


def load_all(root: Path = PROTOCOLS) -> list[Protocol]:
    """Every protocol of both kinds, inference first."""
    found: list[Protocol] = [load_inference(name, root) for name in names('inference', root)]
    return found + [load_scoring(name, root) for name in names('scoring', root)]
