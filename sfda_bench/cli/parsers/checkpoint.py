"""Flags of ``checkpoint``: inspect, convert, export."""

from __future__ import annotations

from pathlib import Path

from sfda_bench.cli.parsing import Command, Parser, completed


def _file(parser: Parser) -> None:
    parser.add_argument('file', type=Path)
    parser.add_argument('--format', help='the name of its format (default: recognise)')
    parser.add_argument(
        '--trust', action='store_true', help='run the code a pickle may carry: know its origin'
    )
    _json(parser)


def _json(parser: Parser) -> None:
    parser.add_argument('--json', action='store_true', help='machine-readable output')


def _convert(parser: Parser) -> None:
    _file(parser)
    network = parser.add_argument('--network', help='default: the one that fits')
    completed(network, 'networks')
    parser.add_argument('--branches', type=int, choices=(2, 4), help='of a DeepLabV2 head')
    parser.add_argument('--out', type=Path, help='default: FILE with .mmseg.pth')
    parser.add_argument('--ema', action='store_true', help='the teacher of a DAFormer checkpoint')
    parser.add_argument('--origin', default='unknown', help='where the file comes from')
    parser.add_argument('--recipe', default='unknown', help='how it was trained')
    parser.add_argument(
        '--score',
        nargs=4,
        action='append',
        default=[],
        metavar=('TASK', 'INFERENCE', 'SCORING', 'MIOU'),
        help='a stated source-only score, checked by the gate before adaptation',
    )


def _export(parser: Parser) -> None:
    origin = parser.add_mutually_exclusive_group(required=True)
    origin.add_argument('--record', type=Path, help='record of the entry (JSON)')
    origin.add_argument('--checkpoint', type=Path, help='plain checkpoint of one of our networks')
    parser.add_argument('--runs', type=Path, default=Path('runs'), help='store (with --record)')
    completed(parser.add_argument('--network', help='with --checkpoint'), 'networks')
    parser.add_argument('--inference', help='inference protocol, with --checkpoint')
    parser.add_argument('--out', type=Path, required=True, help='path without suffix')
    _json(parser)


STATUS = 'exit status: 0 done, 1 refused (the message says why and what to do)'
CHECKPOINT = Command(
    'checkpoint', 'inspect foreign checkpoints, convert them, or export one of ours',
    examples=('inspect GTA5_baseline.pth',),
    more=STATUS,
    parts=(
        Command(
            'inspect', 'say what a file is and which networks it fits', 'checkpoint:inspect',
            _file, examples=('GTA5_baseline.pth',), more=STATUS,
        ),
        Command(
            'convert', 'write a plain mmseg checkpoint and its card', 'checkpoint:convert',
            _convert,
            examples=(
                "GTA5_baseline.pth --branches 4 --out data/weights/advent_gta5.pth \\\n"
                "      --origin 'ADVENT release' \\\n"
                '      --score gta5_to_cityscapes dlv2_caffe@2 cityscapes19@1 36.6',
            ),
            more=STATUS,
        ),
        Command(
            'export', "write an entry's weights and a config for mmseg's own inference API",
            'checkpoint:export', _export,
            examples=('--record results/records/camvid/ENTRY.json --out tent',), more=STATUS,
        ),
    ),
)  # fmt: skip
