"""Findings: their names, and how many occurrences become one line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

from sfda_bench.errors import require_known

ERROR, WARNING, INFO = 'error', 'warning', 'info'
_SHOWN = 5

NAMES: dict[str, tuple[str, str, str]] = {
    'missing_dataset': (ERROR, 'the data set below the data root', 'see the layout and link below'),
    'missing_folder': (ERROR, 'the folder of the split', 'unpack the archive of this split again'),
    'empty_folder': (ERROR, 'images in the folder', 'unpack the archive of this split again'),
    'missing_label': (ERROR, 'a label for every image', 'unpack the label archive again'),
    'wrong_count': (ERROR, 'the official number of images', 'compare with the official archive'),
    'known_variant': (INFO, '', ''),
    'swapped_split': (
        ERROR,
        'images and labels in the folder of their own split',
        'move the folders back, e.g. `mv train tmp && mv val train && mv tmp val`',
    ),
    'wrong_condition': (
        ERROR,
        'each sequence below its own condition: fog, night, rain, snow',
        'move it to the condition folder that the official archive has it in',
    ),
    'orientation_tag': (
        WARNING,
        'images without an orientation tag (EXIF), or with the value 1',
        'pixels are taken as they are stored, as labels are; if the labels were drawn on turned '
        'images, turn these files (exiftran -ai, or jpegtran)',
    ),
    'truncated_file': (ERROR, 'complete files', 'copy or download these files again'),
    'unreadable_file': (
        ERROR,
        'files that can be opened and decoded',
        'check permissions and links (`ls -l`), then copy the files again',
    ),
    'colour_label': (
        ERROR,
        'class indices, not colours',
        'use the official label files (GTA5: palette PNG; Cityscapes: *_labelIds.png)',
    ),
    'label_ids_as_train_ids': (
        ERROR,
        'train ids 0..18 and 255 in *_labelTrainIds.png',
        'these files hold label ids: delete them (labelIds are read directly) or convert them',
    ),
    'train_ids_as_label_ids': (
        ERROR,
        'label ids 7..33 in *_labelIds.png',
        'these files hold train ids: rename them to *_labelTrainIds.png or restore the originals',
    ),
    'wrong_channel': (
        ERROR,
        'the class in the last channel (as cv2 reads it) of 16-bit GT/LABELS files',
        'use GT/LABELS of SYNTHIA-RAND-CITYSCAPES as published, not a converted copy',
    ),
    'out_of_range': (ERROR, 'ids of the encoding only', 'use the official label files'),
    'size_mismatch': (
        ERROR,
        'image and label of one size',
        'restore both files; do not resize labels beforehand',
    ),
    'known_size_mismatch': (INFO, '', ''),
    'mixed_sizes': (WARNING, 'one size in all images', 'check where the odd ones come from'),
    'duplicate_image': (
        ERROR,
        'every image once',
        'delete the copies (they would count twice in training and scores)',
    ),
    'extra_file': (
        WARNING,
        'only files of the official release',
        'delete or move the files; labels without image point to lost images',
    ),
    'class_shares': (
        ERROR,
        'class shares like a street scene (road seen, most pixels labelled)',
        'a wrong label table or channel is likely: look at a few label files',
    ),
    'missing_class': (WARNING, 'every class of the data set', 'a wrong label table is possible'),
    'not_official': (INFO, '', ''),
}
"""Name -> (level, what was expected, what mends it)."""


@dataclass
class Finding:
    """One kind of problem in one split.

    Attributes:
        name: A key of :data:`NAMES`.
        dataset, split: Where.
        found: What was found.
        expected, fix: What was expected, and what mends it.
        count: How many files are concerned.
        paths: The first few of them.
    """

    name: str
    dataset: str
    split: str
    found: str
    expected: str = ''
    fix: str = ''
    level: str = ''
    count: int = 1
    paths: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        level, expected, fix = NAMES[require_known('finding', self.name, NAMES)]
        self.level = self.level or level
        self.expected = self.expected or expected
        self.fix = self.fix or fix

    def to_dict(self) -> dict:
        """Return plain values for JSON."""
        return asdict(self)


def merge(findings: Iterable[Finding]) -> list[Finding]:
    """Return one finding for each (name, data set, split), errors first."""
    merged: dict[tuple[str, str, str], Finding] = {}
    for finding in findings:
        key = finding.name, finding.dataset, finding.split
        if key not in merged:
            merged[key] = finding
            continue
        first = merged[key]
        first.count += finding.count
        first.paths = (first.paths + finding.paths)[:_SHOWN]
    order = {ERROR: 0, WARNING: 1, INFO: 2}
    return sorted(merged.values(), key=lambda f: (order[f.level], f.dataset, f.split, f.name))
