"""``checkpoint``: inspect or convert a foreign checkpoint, or export one of ours."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml
from mmengine.config import Config

from sfda_bench.atomic import write_text
from sfda_bench.errors import BenchError, require_known
from sfda_bench.networks.checkpoints.card import SourceScore, card_path
from sfda_bench.networks.checkpoints.export import entry_checkpoint, export_model
from sfda_bench.networks.checkpoints.identify import branches_of, describe, inspect_checkpoint
from sfda_bench.networks.checkpoints.model_card import model_card
from sfda_bench.networks.checkpoints.write import Request, convert_file
from sfda_bench.paths import CONFIGS
from sfda_bench.stack import import_stack
from sfda_bench.store.record import read_record

NETWORKS = CONFIGS / 'networks'


def network_models() -> dict[str, dict[str, Any]]:
    """The segmentor config of every network in ``mm_configs/networks``, by name."""
    return {p.stem: Config.fromfile(p).model.to_dict() for p in sorted(NETWORKS.glob('*.py'))}


def inspect(args: argparse.Namespace) -> None:
    """Say what a file is and which networks it fits."""
    _answer(_inspect, args)


def convert(args: argparse.Namespace) -> None:
    """Write a plain mmseg checkpoint and its card."""
    _answer(_convert, args)


def export(args: argparse.Namespace) -> None:
    """Write an entry's weights and a config for mmseg."""
    _answer(_export, args)


def _answer(
    command: Callable[[argparse.Namespace], tuple[str, dict[str, Any]]], args: argparse.Namespace
) -> None:
    import_stack()
    text, data = command(args)
    print(json.dumps(data, indent=1) if args.json else text)


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
    record = None
    if args.record:
        name, task, inference, checkpoint = entry_checkpoint(args.record, args.runs)
        record = read_record(Path(args.record)).model_dump(mode='json')
    elif args.network and args.inference:
        name, task, inference, checkpoint = args.network, '', args.inference, args.checkpoint
    else:
        raise BenchError('--checkpoint alone', '--network and --inference with it')
    require_known('network', name, network_models())
    config = Config.fromfile(NETWORKS / f'{name}.py')
    protocol = _protocol(inference.partition('@')[0])
    weights, path = export_model(checkpoint, config.network, config.model, protocol, args.out, task)
    card = weights.with_suffix('.md')
    write_text(card, model_card(weights, path, config.network, protocol, record))
    text = f'{weights}\n{path}\n{card}\n'
    text += f'use: mmseg.apis.init_model({str(path)!r}, {str(weights)!r})'
    return text, {'checkpoint': str(weights), 'config': str(path), 'card': str(card)}


def _protocol(name: str) -> dict[str, Any]:
    folder = CONFIGS / 'protocols' / 'inference'
    require_known('inference protocol', name, [p.stem for p in folder.glob('*.yaml')])
    return yaml.safe_load((folder / f'{name}.yaml').read_text(encoding='utf-8'))


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
