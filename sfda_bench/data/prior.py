"""The spatial prior of CBST-SP: how often each class lies at each image position of the source.

Zou et al., CBST, ECCV 2018, section on spatial priors (specs/cbst.md 3.3): class frequencies over
the source labels, smoothed with a 70 x 70 Gaussian kernel, then normalised. Neither the kernel's
width nor the normalisation was recovered: sigma is OpenCV's for that size, and the largest value of
each class is 1 (so that the prior does not suppress rare classes everywhere).
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sfda_bench.atomic import write_bytes
from sfda_bench.data.catalogue import Sample
from sfda_bench.data.commands import wh
from sfda_bench.data.decode import decode_label
from sfda_bench.data.doctor.cli import add_root_argument, require_data_root
from sfda_bench.data.layout import label_encoding, list_split, require_root
from sfda_bench.data.progress import Progress
from sfda_bench.data.tasks import load_task
from sfda_bench.errors import BenchError
from sfda_bench.labels import CITYSCAPES_CLASSES

KERNEL = 70


def gaussian(size: int) -> NDArray[np.float64]:
    """Kernel of ``size`` taps, even sizes too, that sums to 1; sigma as OpenCV derives it."""
    from scipy.signal import windows  # slow to import, and only needed here

    weights = windows.gaussian(size, 0.3 * ((size - 1) * 0.5 - 1) + 0.8)
    return weights / weights.sum()


def spatial_prior(
    labels: Iterable[NDArray],
    size: tuple[int, int],
    kernel: int = KERNEL,
    num_classes: int = len(CITYSCAPES_CLASSES),
) -> NDArray[np.float32]:
    """Prior (C, H, W) of label maps: 0 for an absent class, else at most 1, reached somewhere.

    Args:
        labels: Train ids (h, w), 255 ignored; resized to ``size`` by the nearest neighbour.
        size: (height, width) of the maps that the prior will multiply.
        kernel: Side of the smoothing kernel in pixels of ``size``.
        num_classes: C.
    """
    if kernel < 1 or min(size) < 1:
        raise BenchError(f'kernel {kernel}, size {size}', '1 or more')
    counts = np.zeros((num_classes, size[0] * size[1]), np.float32)
    seen = np.zeros(size[0] * size[1], np.float32)
    for label in labels:
        flat = cv2.resize(label, size[::-1], interpolation=cv2.INTER_NEAREST).ravel()
        place = np.flatnonzero(flat < num_classes)
        counts[flat[place], place] += 1  # every place once: no increment is lost
        seen[place] += 1
    if not seen.any():
        raise BenchError('no labelled pixel to count', 'labelled source images')
    counts /= np.maximum(seen, 1)
    weights = gaussian(kernel)
    for maps in counts.reshape(num_classes, *size):
        maps[:] = cv2.sepFilter2D(maps, -1, weights, weights, borderType=cv2.BORDER_REFLECT)
    largest = counts.max(axis=1, keepdims=True)
    prior = counts / np.where(largest > 0, largest, 1)
    return prior.reshape(num_classes, *size).astype(np.float32)


def add_prior_parser(commands: argparse._SubParsersAction) -> None:
    """Add ``cbst-prior``."""
    parser = commands.add_parser(
        'cbst-prior',
        help='spatial prior of CBST-SP from the labelled source images',
        description='Count where each class lies in the source labels, smooth, normalise.\n'
        'Writes float32 (classes, height, width) for the parameter prior of cbst_uda; the size\n'
        'must be that of the target files, where thresholds are taken.',
        epilog='example:\n  python tools/prepare_data.py cbst-prior --task gta5_to_cityscapes \\\n'
        "      --data-root /data --out prior.npy\n  then: --method 'cbst_uda[prior=prior.npy]'",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_root_argument(parser)
    parser.add_argument('--task', required=True, metavar='TASK')
    parser.add_argument('--out', required=True, metavar='NPY')
    parser.add_argument('--size', type=wh, default=(2048, 1024), metavar='WxH')
    parser.add_argument('--kernel', type=int, default=KERNEL, metavar='PIXELS')
    parser.set_defaults(run=_run)


def _decoded(samples: Sequence[Sample], encoding: str, progress: Progress) -> Iterator[NDArray]:
    for number, sample in enumerate(samples):
        progress(number, len(samples))
        if sample.label is not None:
            yield decode_label(sample.label, encoding)


def _run(args: argparse.Namespace) -> int:
    source = load_task(args.task)['source']
    name = source['folder']
    root = require_root(require_data_root(args.data_root), name)
    samples = list_split(name, root, source['split'])
    found = [(sample.label.parent, sample.sample_id) for sample in samples if sample.label]
    encoding, _ = label_encoding(name, root, found)
    width, height = args.size
    if source.get('lane_marking') == 'road':
        encoding = 'synthia_lane_road'
    with Progress('counting') as progress:
        prior = spatial_prior(_decoded(samples, encoding, progress), (height, width), args.kernel)
    buffer = io.BytesIO()
    np.save(buffer, prior)
    write_bytes(Path(args.out), buffer.getvalue())
    absent = np.flatnonzero(prior.reshape(len(prior), -1).max(axis=1) == 0).tolist()
    print(f'{args.out}: {len(prior)} x {height} x {width} from {len(samples)} label maps')
    if absent:
        print(f'classes that the source never shows get the prior 0: {absent}')
    return 0
