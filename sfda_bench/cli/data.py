"""The smaller commands of ``data``: list, subset, fingerprint, cbst-list, cbst-prior."""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sfda_bench.atomic import write_bytes, write_text
from sfda_bench.cli.doctor import require_data_root
from sfda_bench.data.catalogue import LAYOUTS, Sample
from sfda_bench.data.cbst import CBST_IMAGES, scores_of_folder, select_by_score
from sfda_bench.data.decode import decode_label
from sfda_bench.data.fingerprint import split_fingerprint, variant_name
from sfda_bench.data.layout import (
    get_layout,
    label_encoding,
    list_split,
    missing_message,
    require_root,
)
from sfda_bench.data.markers import read_any_marker
from sfda_bench.data.overview import overview, overview_text
from sfda_bench.data.prior import KERNEL, spatial_prior
from sfda_bench.data.progress import Progress
from sfda_bench.data.subset import cut_subset
from sfda_bench.data.tasks import load_task, splits_of
from sfda_bench.errors import BenchError, DataError


def list_all(args: argparse.Namespace) -> int:
    """Show tasks and data sets."""
    root = require_data_root(args.data_root) if args.data_root else None
    print(json.dumps(overview(root), indent=2) if args.json else overview_text(root))
    return 0


def subset(args: argparse.Namespace) -> int:
    """Cut a small class-balanced subset."""
    root = require_data_root(args.data_root)
    wanted: dict[str, tuple[str, ...]] = {}
    for name in args.task:
        for dataset, splits in splits_of(load_task(name)).items():
            wanted[dataset] = tuple(dict.fromkeys((*wanted.get(dataset, ()), *splits)))
    for dataset in args.dataset:
        wanted[dataset] = get_layout(dataset).labelled_splits
    if not wanted:
        raise BenchError('nothing to cut', '--task TASK or --dataset NAME')
    error = missing_message(wanted, root, ', '.join(args.task))
    if error is not None:
        raise error
    with Progress('cutting') as progress:
        counts = cut_subset(root, wanted, args.out, args.images, args.size, args.workers, progress)
    for part, count in counts.items():
        print(f'{args.out}: {part} {count} images')
    return 0


def fingerprint(args: argparse.Namespace) -> int:
    """Print the fingerprint and the known name of every split."""
    data_root = require_data_root(args.data_root)
    for dataset in args.dataset or LAYOUTS:
        layout = get_layout(dataset)
        if not args.dataset and missing_message([dataset], data_root):
            continue
        root = require_root(data_root, dataset)
        for split in layout.counts:
            labelled = split in layout.labelled_splits
            try:
                images = len(list_split(dataset, root, split, labelled=False))
            except DataError:
                continue
            value = split_fingerprint(dataset, root, split, None, labelled, args.deep)
            name = variant_name(dataset, split, images, read_any_marker(root))
            print(f'{value}  {dataset}/{split}  {name}')
    return 0


def cbst_list(args: argparse.Namespace) -> int:
    """Choose the images of CBST's list by their scores."""
    scores = scores_of_folder(args.predictions)
    chosen = select_by_score(scores, CBST_IMAGES if args.images is None else args.images)
    write_text(Path(args.out), ''.join(f'{name}\n' for name in chosen))
    threshold = min(scores[name] for name in chosen)
    print(f'{args.out}: {len(chosen)} of {len(scores)} images, threshold {threshold:.6f}')
    return 0


def cbst_prior(args: argparse.Namespace) -> int:
    """Count where each class lies in the source labels of a task."""
    source = load_task(args.task)['source']
    name = source['folder']
    root = require_root(require_data_root(args.data_root), name)
    samples = list_split(name, root, source['split'])
    found = [(sample.label.parent, sample.sample_id) for sample in samples if sample.label]
    encoding, _ = label_encoding(name, root, found)
    width, height = args.size
    if source.get('lane_marking') == 'road':
        encoding = 'synthia_lane_road'
    kernel = KERNEL if args.kernel is None else args.kernel
    with Progress('counting') as progress:
        labels = _decoded(samples, encoding, progress)
        prior = spatial_prior(labels, (height, width), kernel)
    buffer = io.BytesIO()
    np.save(buffer, prior)
    write_bytes(Path(args.out), buffer.getvalue())
    absent = np.flatnonzero(prior.reshape(len(prior), -1).max(axis=1) == 0).tolist()
    print(f'{args.out}: {len(prior)} x {height} x {width} from {len(samples)} label maps')
    if absent:
        print(f'classes that the source never shows get the prior 0: {absent}')
    return 0


def _decoded(samples: Sequence[Sample], encoding: str, progress: Progress) -> Iterator[NDArray]:
    for number, sample in enumerate(samples):
        progress(number, len(samples))
        if sample.label is not None:
            yield decode_label(sample.label, encoding)
