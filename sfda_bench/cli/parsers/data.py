"""Flags of ``data``: render, check, cut and list data sets."""

from __future__ import annotations

import argparse
import os

from sfda_bench.cli.parsing import Command, Parser, completed

#: Parts of the pocket world.
PARTS = (
    'gta5/train', 'synthia/train', 'cityscapes/train', 'cityscapes/val',
    'acdc/train/fog', 'acdc/train/night', 'acdc/train/rain', 'acdc/train/snow',
    'acdc/val/fog', 'acdc/val/night', 'acdc/val/rain', 'acdc/val/snow',
)  # fmt: skip
EXIT = 'exit code: 0 clean (warnings allowed), 1 errors found, 2 wrong usage'


def width_height(text: str) -> tuple[int, int]:
    """An argument ``WxH`` as (width, height)."""
    return _two(text, 'WxH, e.g. 512x256')


def height_width(text: str) -> tuple[int, int]:
    """An argument ``HxW`` as (height, width)."""
    return _two(text, 'HxW, e.g. 96x192')


def _two(text: str, form: str) -> tuple[int, int]:
    try:
        first, second = (int(v) for v in text.lower().split('x'))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f'{text!r} is not {form}') from error
    return first, second


def add_root(parser: Parser) -> None:
    """``--data-root``, which defaults to the environment variable."""
    parser.add_argument(
        '--data-root',
        default=os.environ.get('SFDA_DATA_ROOT'),
        metavar='DIR',
        help='folder that holds the data sets (default: $SFDA_DATA_ROOT)',
    )


def _tasks(parser: Parser, **options: object) -> None:
    flag = parser.add_argument('--task', metavar='TASK', **options)  # type: ignore[arg-type]
    completed(flag, 'tasks')


def _json(parser: Parser) -> None:
    parser.add_argument('--json', action='store_true', help='print JSON')


def _workers(parser: Parser) -> None:
    parser.add_argument('--workers', type=int, metavar='N', help='processes (default: all cores)')


def _doctor(parser: Parser) -> None:
    add_root(parser)
    _tasks(parser, action='append', default=[], help='the splits that a task reads')
    parser.add_argument('--dataset', action='append', default=[], metavar='NAME')
    parser.add_argument(
        '--sample',
        type=int,
        default=200,
        metavar='N',
        help='files of each split to decode; the others are checked at both ends (default: 200)',
    )
    _workers(parser)
    _json(parser)


def _pocket(parser: Parser) -> None:
    parser.add_argument('--out', default='data/pocket', help='folder (default: %(default)s)')
    parser.add_argument(
        '--size', type=height_width, default=(96, 192), metavar='HxW', help='default: 96x192'
    )
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--scale', type=float, default=1.0, help='times the default counts')
    parser.add_argument(
        '--count', action='append', default=[], metavar='PART=N', help='images of one part'
    )
    _workers(parser)
    parser.add_argument('--sheet', metavar='PNG', help='also write a contact sheet of all looks')


def _list(parser: Parser) -> None:
    add_root(parser)
    _json(parser)


def _subset(parser: Parser) -> None:
    add_root(parser)
    _tasks(parser, action='append', default=[])
    parser.add_argument(
        '--dataset', action='append', default=[], metavar='NAME', help='all its labelled splits'
    )
    parser.add_argument('--images', type=int, required=True, metavar='N', help='of each split')
    parser.add_argument('--out', required=True, metavar='DIR', help='new folder, or one to add to')
    parser.add_argument('--size', type=width_height, default=(512, 256), metavar='WxH')
    _workers(parser)


def _fingerprint(parser: Parser) -> None:
    add_root(parser)
    parser.add_argument('--dataset', action='append', default=[], metavar='NAME')
    parser.add_argument('--deep', action='store_true', help='hash the bytes too (slow)')


def _cbst_list(parser: Parser) -> None:
    parser.add_argument('--predictions', required=True, metavar='DIR')
    parser.add_argument('--images', type=int, metavar='N', help='default: 505')
    parser.add_argument('--out', required=True, metavar='TXT')


def _cbst_prior(parser: Parser) -> None:
    add_root(parser)
    _tasks(parser, required=True)
    parser.add_argument('--out', required=True, metavar='NPY')
    parser.add_argument('--size', type=width_height, default=(2048, 1024), metavar='WxH')
    parser.add_argument('--kernel', type=int, metavar='PIXELS', help='default: 70')


DATA = Command(
    'data', 'render, check, cut and list the data sets of the benchmark',
    examples=('doctor --data-root data/pocket',),
    parts=(
        Command(
            'doctor', 'check data sets: layout, counts, pairs, sizes, labels, damaged files',
            'doctor:doctor', _doctor,
            examples=(
                '--data-root data/pocket',
                '--task gta5_to_cityscapes --data-root /data',
                '--dataset acdc --data-root /data --sample 0 --json   # names, headers, file ends',
            ),
            description='Check data sets; every finding says what was found, expected, and the '
            'cure.\nWithout --task and --dataset: all that are found.',
            more=EXIT, failure=2,
        ),
        Command(
            'pocket', 'render the pocket world: street scenes in the native layouts',
            'pocket:pocket', _pocket,
            examples=(
                '                                              # into data/pocket',
                '--out /tmp/big --size 1024x2048 --scale 10    # a larger one for GPU work',
                '--sheet results/site/pocket.png',
                '--count gta5/train=1000 --count cityscapes/val=100',
            ),
            description='Render the pocket world, or what is missing of it. Same seed, same bytes.',
            more='parts: ' + ', '.join(PARTS[:6]) + ',\n       ' + ', '.join(PARTS[6:]), failure=2,
        ),
        Command(
            'list', 'show tasks, data sets, where they are and in what state',
            'data:list_all', _list, examples=('--data-root data/pocket',),
            description='Show tasks, data sets, where they are, in what state, and where to get '
            'them.', failure=2,
        ),
        Command(
            'subset', 'cut a small class-balanced subset of real data, in the native layout',
            'data:subset', _subset,
            examples=(
                '--task gta5_to_cityscapes --images 20 --size 512x256 \\\n'
                '      --data-root /data --out /data/ci',
            ),
            description='Cut a deterministic, class-balanced subset for continuous integration.',
            more='note: --size is WIDTHxHEIGHT; licences of the originals apply to the subset',
            failure=2,
        ),
        Command(
            'fingerprint', 'print the fingerprint and the known name of every split',
            'data:fingerprint', _fingerprint, examples=('--dataset camvid --deep',),
            description='Print fingerprints: of relative paths and sizes, with --deep of all '
            'bytes.', failure=2,
        ),
        Command(
            'cbst-list', 'reproduce the 505-image list of CBST by its published rule',
            'data:cbst_list', _cbst_list,
            examples=('--predictions runs/x/labels --out cityscapes_505.txt',),
            description='Score images by class-balanced confidence and keep the best ones.\n'
            'Reads one <sample id>.npz an image with arrays `label` and `confidence` (H, W), as\n'
            'predicted by the source model; writes a list for the option sample_list of a data '
            'set.', failure=2,
        ),
        Command(
            'cbst-prior', 'spatial prior of CBST-SP from the labelled source images',
            'data:cbst_prior', _cbst_prior,
            examples=('--task gta5_to_cityscapes --data-root /data --out prior.npy',),
            description='Count where each class lies in the source labels, smooth, normalise.\n'
            'Writes float32 (classes, height, width) for the parameter prior of cbst_uda; the '
            'size\nmust be that of the target files, where thresholds are taken.',
            more="then: --method 'cbst_uda[prior=prior.npy]'", failure=2,
        ),
    ),
)  # fmt: skip
