"""``data pocket``: render the pocket world."""

from __future__ import annotations

import argparse
from pathlib import Path

from sfda_bench.data.progress import Progress
from sfda_bench.errors import BenchError
from sfda_bench.pocket.sheet import write_contact_sheet
from sfda_bench.pocket.world import DEFAULT_COUNTS, WorldSpec, ensure_pocket


def _counts(scale: float, given: list[str]) -> dict[str, int]:
    counts = {part: max(round(n * scale), 1) for part, n in DEFAULT_COUNTS.items()}
    for text in given:
        part, _, number = text.partition('=')
        if not number.isdigit():
            raise BenchError(f'--count {text}', 'PART=N, e.g. gta5/train=500')
        counts[part] = int(number)
    return counts


def pocket(args: argparse.Namespace) -> int:
    """Render the pocket world, or what is missing of it."""
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
