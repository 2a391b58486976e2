"""``convert_checkpoint.py``: inspect or convert a foreign checkpoint, or export one of ours."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from mmengine.config import Config

from sfda_bench.errors import BenchError, require_known
from sfda_bench.networks.card import SourceScore, card_path
from sfda_bench.networks.export import entry_checkpoint, export_model
from sfda_bench.networks.formats import BY_NAME
from sfda_bench.networks.inspect import branches_of, describe, inspect_checkpoint
from sfda_bench.networks.write import Request, convert_file
from sfda_bench.stack import import_stack

CONFIGS = Path(__file__).resolve().parents[2] / 'mm_configs' / 'networks'
_EPILOG = """examples:
  python tools/convert_checkpoint.py inspect GTA5_baseline.pth
  python tools/convert_checkpoint.py convert GTA5_baseline.pth --branches 4 \\
      --out data/weights/advent_gta5.pth --origin 'ADVENT release' \\
      --score gta5_to_cityscapes dlv2_caffe@1 cityscapes19@1 36.6
  python tools/convert_checkpoint.py export --record results/records/camvid/ENTRY.json --out tent
exit status: 0 done, 1 refused (message says why and what to do)"""


def network_models() -> dict[str, dict[str, Any]]:
    """The segmentor config of every network in ``mm_configs/networks``, by name."""
    return {p.stem: Config.fromfile(p).model.to_dict() for p in sorted(CONFIGS.glob('*.py'))}


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    top = argparse.ArgumentParser(
        prog='convert_checkpoint.py',
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(dest='command', required=True)
    for name, text in (
        ('inspect', 'say what a file is and which networks it fits'),
        ('convert', 'write a plain mmseg checkpoint and its card'),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument('file', type=Path)
        command.add_argument('--format', help=f'one of {", ".join(BY_NAME)} (default: recognise)')
        command.add_argument(
            '--trust', action='store_true', help='run the code a pickle may carry: know its origin'
        )
        command.add_argument('--json', action='store_true', help='machine-readable output')
    convert = commands.choices['convert']
    convert.add_argument('--network', help='default: the one that fits')
    convert.add_argument('--branches', type=int, choices=(2, 4), help='of a DeepLabV2 head')
    convert.add_argument('--out', type=Path, help='default: FILE with .mmseg.pth')
    convert.add_argument('--ema', action='store_true', help='the teacher of a DAFormer checkpoint')
    convert.add_argument('--origin', default='unknown', help='where the file comes from')
    convert.add_argument('--recipe', default='unknown', help='how it was trained')
    convert.add_argument(
        '--score',
        nargs=4,
        action='append',
        default=[],
        metavar=('TASK', 'INFERENCE', 'SCORING', 'MIOU'),
        help='a stated source-only score, checked by the gate before adaptation',
    )
    _add_export(commands)
    return top


def _add_export(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        'export', help="write an entry's weights and a config for mmseg's own inference API"
    )
    origin = command.add_mutually_exclusive_group(required=True)
    origin.add_argument('--record', type=Path, help='record of the entry (JSON)')
    origin.add_argument('--checkpoint', type=Path, help='plain checkpoint of one of our networks')
    command.add_argument('--runs', type=Path, default=Path('runs'), help='store (with --record)')
    command.add_argument('--network', help='with --checkpoint')
    command.add_argument('--inference', help='inference protocol, with --checkpoint')
    command.add_argument('--out', type=Path, required=True, help='path without suffix')
    command.add_argument('--json', action='store_true', help='machine-readable output')


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    args = parser().parse_args(argv)
    import_stack()
    try:
        text, data = COMMANDS[args.command](args)
    except BenchError as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(data, indent=1) if args.json else text)
    return 0


def _inspect(args: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    found = inspect_checkpoint(args.file, network_models(), args.format, args.trust)
    return describe(found), found.as_dict()


def _convert(args: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    models = network_models()
    form = 'daformer_ema' if args.ema else args.format
    found = inspect_checkpoint(args.file, models, form, args.trust)
    fits = found.fits or found.main_only
    if args.network:
        name = require_known('network', args.network, models)
    else:
        answer = args.branches or (_ask_branches() if found.branches else None)
        name = _only(args.file, fits, answer, models)
    branches = branches_of(models[name]) if found.branches else None
    if args.network and found.branches and args.branches not in (None, branches):
        raise BenchError(
            f'--branches {args.branches}, but network {name} sums {branches}',
            'the same number',
            'choose deeplabv2_r101 (4) or deeplabv2_r101_2branch (2)',
        )
    request = Request(
        path=args.file,
        out=args.out or args.file.with_suffix('.mmseg.pth'),
        network=name,
        model=models[name],
        form=form or found.format or '',
        branches=branches,
        origin=args.origin,
        recipe=args.recipe,
        trust=args.trust,
        scores=[_score(values) for values in args.score],
    )
    card = convert_file(request)
    lines = [f'{request.out}: {card.format} -> {name}, sha256 {card.sha256}']
    lines.append(f'card: {card_path(request.out)}')
    if card.dropped_keys:
        lines.append(f'{card.dropped_keys} keys left out on purpose')
    return '\n'.join(lines), card.model_dump()


def _export(args: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    if args.record:
        name, task, inference, checkpoint = entry_checkpoint(args.record, args.runs)
    elif args.network and args.inference:
        name, task, inference, checkpoint = args.network, '', args.inference, args.checkpoint
    else:
        raise BenchError('--checkpoint alone', '--network and --inference with it')
    require_known('network', name, network_models())
    config = Config.fromfile(CONFIGS / f'{name}.py')
    protocol = _protocol(inference.partition('@')[0])
    weights, path = export_model(checkpoint, config.network, config.model, protocol, args.out, task)
    text = f'{weights}\n{path}\nuse: mmseg.apis.init_model({str(path)!r}, {str(weights)!r})'
    return text, {'checkpoint': str(weights), 'config': str(path)}


def _protocol(name: str) -> dict[str, Any]:
    folder = CONFIGS.parent / 'protocols' / 'inference'
    require_known('inference protocol', name, [p.stem for p in folder.glob('*.yaml')])
    return yaml.safe_load((folder / f'{name}.yaml').read_text())


COMMANDS = {'inspect': _inspect, 'convert': _convert, 'export': _export}


def _score(values: Sequence[str]) -> SourceScore:
    task, inference, scoring, miou = values
    try:
        return SourceScore(task=task, inference=inference, scoring=scoring, miou=float(miou))
    except ValueError as error:
        raise BenchError(f'--score ... {miou}', 'a mIoU in percent, 0 to 100') from error


def _ask_branches() -> int:
    if not sys.stdin.isatty():
        raise BenchError(
            'the keys do not tell whether the head sums two or four branches',
            '--branches 2 (AdaptSegNet, MaxSquare, URMA, CROTS) or 4 (ADVENT, CRST, IAPC)',
            'if you do not know, convert both: the gate finds the one with the stated score',
        )
    while True:
        answer = input('Branches the head sums, 2 (AdaptSegNet line) or 4 (ADVENT, CRST)? ')
        if answer.strip() in ('2', '4'):
            return int(answer)


def _only(
    file: Path, fits: Sequence[str], branches: int | None, models: dict[str, dict[str, Any]]
) -> str:
    """The one network that fits, given the answer about branches."""
    if branches is not None:
        fits = [name for name in fits if branches_of(models[name]) in (branches, None)]
    if len(fits) == 1:
        return fits[0]
    if not fits:
        raise BenchError(
            f'{file} fits no network' + (f' with {branches} branches' if branches else ''),
            'the keys and shapes of one of mm_configs/networks',
            f'python tools/convert_checkpoint.py inspect {file}',
        )
    raise BenchError(f'{file} fits {", ".join(fits)}', 'one of them', 'name it with --network')
