"""Flags of ``train`` and ``score``: one stage by itself, with the flags of mmseg's own tools."""

from __future__ import annotations

from pathlib import Path

from sfda_bench.cli.parsing import Command, Parser


def _stage(parser: Parser) -> None:
    parser.add_argument('config', type=Path, help='resolved config, e.g. runs/<id>/config.py')
    parser.add_argument('checkpoint', nargs='?', type=Path, help='weights to start from or score')
    parser.add_argument('--work-dir', type=Path, help='where to write (default: work_dirs/<id>)')
    parser.add_argument('--resume', action='store_true', help='continue from <work-dir>/resume.pth')
    parser.add_argument('--no-guard', action='store_true', help='do not seal a sealed stage')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action='extend',
        metavar='KEY=VALUE',
        help='overrides, as in mmengine',
    )


TRAIN = Command(
    'train', 'run the resolved config of one stage by itself: source training or adaptation',
    'stage:train', _stage, examples=('runs/<id>/config.py --work-dir work_dirs/again',),
    again='continue with: {call} --resume',
)  # fmt: skip
SCORE = Command(
    'score', 'run the resolved config of one score stage by itself: confusion counts',
    'stage:score', _stage, examples=('runs/<id>/config.py my.pth',),
    again='continue with: {call}',
)  # fmt: skip
