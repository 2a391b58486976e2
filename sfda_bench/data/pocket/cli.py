"""``prepare_data.py pocket``: render the pocket world."""

from __future__ import annotations

import argparse
from pathlib import Path

from sfda_bench.data.pocket.sheet import write_contact_sheet
from sfda_bench.data.pocket.world import DEFAULT_COUNTS, WorldSpec, ensure_pocket
from sfda_bench.data.progress import Progress
from sfda_bench.errors import BenchError

_EPILOG = """examples:
  python tools/prepare_data.py pocket
  python tools/prepare_data.py pocket --out /tmp/world --size 48x96 --scale 0.1 --seed 3
  python tools/prepare_data.py pocket --sheet results/site/pocket.png
  python tools/prepare_data.py pocket --count gta5/train=1000 --count cityscapes/val=100
parts: """ + ', '.join(DEFAULT_COUNTS)


def parse_size(text: str) -> tuple[int, int]:
    """Return (height, width) of ``'HxW'``."""
    try:
        height, width = (int(v) for v in text.lower().split('x'))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f'{text!r} is not HxW, e.g. 96x192') from error
    return height, width


def _counts(scale: float, given: list[str]) -> dict[str, int]:
    counts = {part: max(round(n * scale), 1) for part, n in DEFAULT_COUNTS.items()}
    for text in given:
        part, _, number = text.partition('=')
        if not number.isdigit():
            raise BenchError(f'--count {text}', 'PART=N, e.g. gta5/train=500')
        counts[part] = int(number)
    return counts


def add_pocket_parser(commands: argparse._SubParsersAction) -> None:
    """Add the sub-command."""
    parser = commands.add_parser(
        'pocket',
        help='render the pocket world: street scenes in the native layouts',
        description='Render the pocket world, or what is missing of it. Same seed, same bytes.',
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--out', default='data/pocket', help='folder (default: %(default)s)')
    parser.add_argument(
        '--size', type=parse_size, default=(96, 192), metavar='HxW', help='default: 96x192'
    )
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--scale', type=float, default=1.0, help='times the default counts')
    parser.add_argument(
        '--count', action='append', default=[], metavar='PART=N', help='images of one part'
    )
    parser.add_argument('--workers', type=int, help='processes (default: all cores)')
    parser.add_argument('--sheet', metavar='PNG', help='also write a contact sheet of all looks')
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    spec = WorldSpec(args.size, args.seed, _counts(args.scale, args.count))
    with Progress('rendering') as progress:
        rendered = ensure_pocket(args.out, spec, args.workers, progress)
    total = sum(spec.counts.values())
    state = f'rendered {rendered} of {total} images' if rendered else f'all {total} images present'
    print(f'{Path(args.out)}: {state}, {spec.size[0]}x{spec.size[1]}, seed {spec.seed}')
    if args.sheet:
        write_contact_sheet(args.out, args.sheet)
        print(f'contact sheet: {args.sheet}')
    return 0
