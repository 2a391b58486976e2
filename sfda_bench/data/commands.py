"""The smaller sub-commands of ``tools/prepare_data.py``: list, subset, fingerprint, cbst-list."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from sfda_bench.data.catalogue import LAYOUTS
from sfda_bench.data.cbst import CBST_IMAGES, scores_of_folder, select_by_score
from sfda_bench.data.doctor.cli import add_root_argument, require_data_root
from sfda_bench.data.fingerprint import split_fingerprint, variant_name
from sfda_bench.data.layout import get_layout, list_split, missing_message, require_root
from sfda_bench.data.markers import read_any_marker
from sfda_bench.data.overview import overview, overview_text
from sfda_bench.data.progress import Progress
from sfda_bench.data.subset import cut_subset
from sfda_bench.data.tasks import load_task, splits_of
from sfda_bench.errors import BenchError, DataError

_RAW = argparse.RawDescriptionHelpFormatter


def wh(text: str) -> tuple[int, int]:
    """An argument ``WxH`` as (width, height)."""
    try:
        width, height = (int(v) for v in text.lower().split('x'))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f'{text!r} is not WxH, e.g. 512x256') from error
    return width, height


def add_list_parser(commands: argparse._SubParsersAction) -> None:
    """Add ``list``."""
    parser = commands.add_parser(
        'list',
        help='show tasks, data sets, where they are and in what state',
        description='Show tasks, data sets, where they are, in what state, and where to get them.',
        epilog='example:\n  python tools/prepare_data.py list --data-root data/pocket',
        formatter_class=_RAW,
    )
    add_root_argument(parser)
    parser.add_argument('--json', action='store_true', help='print JSON')
    parser.set_defaults(run=_list)


def _list(args: argparse.Namespace) -> int:
    root = args.data_root
    print(json.dumps(overview(root), indent=2) if args.json else overview_text(root))
    return 0


def add_subset_parser(commands: argparse._SubParsersAction) -> None:
    """Add ``subset``."""
    parser = commands.add_parser(
        'subset',
        help='cut a small class-balanced subset of real data, in the native layout',
        description='Cut a deterministic, class-balanced subset for continuous integration.',
        epilog='example:\n  python tools/prepare_data.py subset --task gta5_to_cityscapes \\\n'
        '      --images 20 --size 512x256 --data-root /data --out /data/ci\n'
        'note: --size is WIDTHxHEIGHT; licences of the originals apply to the subset',
        formatter_class=_RAW,
    )
    add_root_argument(parser)
    parser.add_argument('--task', action='append', default=[], metavar='TASK')
    parser.add_argument(
        '--dataset', action='append', default=[], metavar='NAME', help='all its labelled splits'
    )
    parser.add_argument('--images', type=int, required=True, metavar='N', help='of each split')
    parser.add_argument('--out', required=True, metavar='DIR', help='new folder, or one to add to')
    parser.add_argument('--size', type=wh, default=(512, 256), metavar='WxH')
    parser.add_argument('--workers', type=int, help='processes (default: all cores)')
    parser.set_defaults(run=_subset)


def _subset(args: argparse.Namespace) -> int:
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


def add_fingerprint_parser(commands: argparse._SubParsersAction) -> None:
    """Add ``fingerprint``."""
    parser = commands.add_parser(
        'fingerprint',
        help='print the fingerprint and the known name of every split',
        description='Print fingerprints: of relative paths and sizes, with --deep of all bytes.',
        epilog='example:\n  python tools/prepare_data.py fingerprint --dataset camvid --deep',
        formatter_class=_RAW,
    )
    add_root_argument(parser)
    parser.add_argument('--dataset', action='append', default=[], metavar='NAME')
    parser.add_argument('--deep', action='store_true', help='hash the bytes too (slow)')
    parser.set_defaults(run=_fingerprint)


def _fingerprint(args: argparse.Namespace) -> int:
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


def add_cbst_parser(commands: argparse._SubParsersAction) -> None:
    """Add ``cbst-list``."""
    parser = commands.add_parser(
        'cbst-list',
        help='reproduce the 505-image list of CBST by its published rule',
        description='Score images by class-balanced confidence and keep the best ones.\n'
        'Reads one <sample id>.npz an image with arrays `label` and `confidence` (H, W), as\n'
        'predicted by the source model; writes a list for the option sample_list of a data set.',
        epilog='example:\n  python tools/prepare_data.py cbst-list --predictions runs/x/labels \\\n'
        '      --out cityscapes_505.txt',
        formatter_class=_RAW,
    )
    parser.add_argument('--predictions', required=True, metavar='DIR')
    parser.add_argument('--images', type=int, default=CBST_IMAGES, metavar='N')
    parser.add_argument('--out', required=True, metavar='TXT')
    parser.set_defaults(run=_cbst)


def _cbst(args: argparse.Namespace) -> int:
    scores = scores_of_folder(args.predictions)
    chosen = select_by_score(scores, args.images)
    Path(args.out).write_text(''.join(f'{name}\n' for name in chosen))
    threshold = min(scores[name] for name in chosen)
    print(f'{args.out}: {len(chosen)} of {len(scores)} images, threshold {threshold:.6f}')
    return 0
