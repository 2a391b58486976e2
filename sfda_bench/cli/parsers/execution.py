"""Flags of how networks compute and of how stages are run."""

from __future__ import annotations

import argparse

from sfda_bench.cli.parsing import Parser
from sfda_bench.plan.execution import BACKENDS, PRECISIONS


def add_computing(parser: Parser) -> None:
    """``--precision``, ``--channels-last``, ``--compile``: settings of every method."""
    how = parser.add_argument_group(
        'how networks compute', 'settings of every method: part of its name and of the ids'
    )
    how.add_argument('--precision', choices=PRECISIONS, help='of backbones and heads')
    how.add_argument('--channels-last', action='store_true', help='memory layout')
    how.add_argument(
        '--compile',
        nargs='?',
        const='inductor',
        choices=BACKENDS,
        help='backbones (inductor by default: it needs --no-guard)',
    )


def computing(arguments: argparse.Namespace) -> dict[str, object]:
    """The settings that these flags stand for."""
    names = ('precision', 'channels_last', 'compile')
    found = {name: getattr(arguments, name, None) for name in names}
    return {name: value for name, value in found.items() if value}


def slurm_time(text: str) -> int:
    """Minutes of a time in SLURM's forms.

    Raises:
        ArgumentTypeError: Another form.
    """
    from sfda_bench.run.slurm_time import minutes_of

    try:
        return minutes_of(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f'{text!r} is no time of SLURM: minutes, MM:SS, HH:MM:SS, D-HH, D-HH:MM, D-HH:MM:SS'
        ) from None


def add_execution(parser: Parser) -> None:
    """Workers, devices, the executor and SLURM's flags."""
    how = parser.add_argument_group('how')
    how.add_argument('--workers', type=int, metavar='N', help='stages at a time (default: cores)')
    how.add_argument('--gpus-per-stage', type=int, default=1, metavar='N', help='GPUs a stage')
    how.add_argument(
        '--loader-workers',
        type=int,
        metavar='N',
        help='loader workers of each stage (default: 4 on a GPU, none on a CPU)',
    )
    how.add_argument(
        '--no-guard', action='store_true', help='do not seal stages; their records say `unguarded`'
    )
    how.add_argument('--executor', default='local', help='local (default) or slurm')
    slurm = parser.add_argument_group('slurm')
    slurm.add_argument('--slurm-partition', metavar='NAME')
    slurm.add_argument('--slurm-account', metavar='NAME')
    slurm.add_argument('--slurm-qos', metavar='NAME')
    slurm.add_argument(
        '--slurm-time',
        type=slurm_time,
        default=1440,
        metavar='TIME',
        help='of a job, as SLURM writes it: minutes, 12:00:00, 1-00:00:00 (default: a day)',
    )
    slurm.add_argument(
        '--detach', action='store_true', help='submit and return; the same command watches later'
    )
    slurm.add_argument('--slurm-gpus', type=int, default=0, metavar='N', help='GPUs a stage')
    slurm.add_argument('--slurm-cpus', type=int, default=2, metavar='N', help='cores a stage')
    slurm.add_argument('--slurm-mem', type=int, metavar='GB', help='memory a stage')
    slurm.add_argument(
        '--slurm-option', nargs='+', default=[], metavar='KEY=VALUE', help='further sbatch options'
    )
