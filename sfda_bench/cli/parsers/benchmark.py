"""Flags of ``benchmark``: the claims of speed, each a ratio measured in one run."""

from __future__ import annotations

from pathlib import Path

from sfda_bench.cli.parsing import Command, Parser, completed
from sfda_bench.paths import RESULTS


def _json(parser: Parser) -> None:
    parser.add_argument('--json', action='store_true', help='print JSON')


def _data(parser: Parser) -> None:
    parser.add_argument(
        '--data-root', metavar='DIR', help='default: a 512x1024 pocket world, rendered for this'
    )
    parser.add_argument('--images', type=int, default=12, metavar='N', help='of each data set')
    parser.add_argument('--repeats', type=int, default=5, metavar='N', help='the best one counts')
    _json(parser)


def _engine(parser: Parser) -> None:
    parser.add_argument('--entries', type=int, default=1000, metavar='N', help='default 1000')


def _methods(parser: Parser) -> None:
    methods = parser.add_argument('--method', nargs='+', help='methods (default: all)')
    completed(methods, 'methods')
    network = parser.add_argument('--network', default='cgnet', help='network (default cgnet)')
    completed(network, 'networks')
    parser.add_argument('--size', type=int, nargs=2, default=(256, 512), metavar=('H', 'W'))
    parser.add_argument('--batch', type=int, default=2, help='images a branch (default 2)')
    parser.add_argument('--repeats', type=int, default=5, help='steps of each kind (default 5)')
    parser.add_argument('--device', default='cpu', help='cpu (default) or cuda')
    _json(parser)


def _memory(parser: Parser) -> None:
    methods = parser.add_argument('--method', nargs='+', help='methods (default: all)')
    completed(methods, 'methods')
    network = parser.add_argument('--network', default='cgnet', help='network (default cgnet)')
    completed(network, 'networks')
    parser.add_argument('--size', type=int, nargs=2, default=(256, 512), metavar=('H', 'W'))
    parser.add_argument('--batch', type=int, default=2, help='images a branch (default 2)')
    _json(parser)


def _scoring(parser: Parser) -> None:
    parser.add_argument('--images', type=int, default=3, help='2048 x 1024 images (default 3)')
    parser.add_argument('--repeat', type=int, default=5, help='timed rounds, the best counts')
    _json(parser)


def _thresholds(parser: Parser) -> None:
    parser.add_argument('--maps', type=int, default=500, help='probability maps (default 500)')
    parser.add_argument('--device', default='cpu', help='where the maps lie: cpu (default), cuda')
    _json(parser)


def _validators(parser: Parser) -> None:
    parser.add_argument('--maps', type=int, default=20, help='different maps (default 20)')
    parser.add_argument('--repeat', type=int, default=5, help='timed rounds, the best counts')
    _json(parser)


def _all(parser: Parser) -> None:
    parser.add_argument('--only', nargs='+', metavar='NAME', help='these of them')
    parser.add_argument('--quick', action='store_true', help='less of everything')
    parser.add_argument(
        '--only-missing', action='store_true', help='leave those that have a record'
    )
    parser.add_argument(
        '--out',
        type=Path,
        default=RESULTS / 'benchmarks',
        metavar='DIR',
        help='folder of the records (default: results/benchmarks)',
    )


BENCHMARK = Command(
    'benchmark', 'measure the claims of speed, each as a ratio in one run',
    examples=('scoring --images 1',),
    parts=(
        Command(
            'all', 'run all of them and write their records', 'benchmark:everything', _all,
            examples=('', '--only scoring validators --quick'),
            more='exit code: 1 if a promise is not kept',
        ),
        Command(
            'data', 'decoding throughput of each reader as a ratio to plain decoding',
            'benchmark:data', _data, examples=('', '--data-root /data --images 50'),
            description='Measure the decoding throughput of each reader against plain decoding.\n'
            'Plain decoding opens the same files with the same libraries and does nothing else; '
            'the\nreaders also check for truncation, map ids, check ranges and sizes.',
        ),
        Command(
            'engine', 'time a cached call over many entries, and the start of a stage',
            'benchmark:engine', _engine, examples=('--entries 100',),
        ),
        Command(
            'memory', "compare the forecast of a step's memory with the allocator's peak",
            'benchmark:memory', _memory, examples=('--method tent cbst',),
        ),
        Command(
            'methods', "compare each method's step with the bare passes that it needs",
            'benchmark:methods', _methods, examples=('--method iapc tent --device cuda',),
            more='exit code: 1 if a ratio is above 1.10',
        ),
        Command(
            'scoring', 'compare scoring with cityscapesscripts; time the bootstrap',
            'benchmark:scoring', _scoring, examples=('--images 1',),
        ),
        Command(
            'thresholds', 'compare streaming class-balanced thresholds with sorting',
            'benchmark:thresholds', _thresholds, examples=('--maps 50',),
        ),
        Command(
            'validators', 'compare the sums that validators need with a plain implementation',
            'benchmark:validators', _validators, examples=('--maps 5',),
            more='exit code: 1 if 500 maps take longer than promised',
        ),
    ),
)  # fmt: skip
