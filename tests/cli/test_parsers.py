"""Every command has a parser of its own: its help, its flags, its examples, and a hint."""

from __future__ import annotations

import importlib
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sfda_bench import __version__
from sfda_bench.board.submission import SERVERS
from sfda_bench.cli import scripts
from sfda_bench.cli.main import COMMANDS, SUITE, _command_first, build_parser, main
from sfda_bench.cli.parsers import board, data, suite
from sfda_bench.cli.parsing import Command
from sfda_bench.data.cbst import CBST_IMAGES
from sfda_bench.data.prior import KERNEL
from sfda_bench.plan import catalog
from sfda_bench.plan.parts import REGISTRIES
from sfda_bench.pocket.world import DEFAULT_COUNTS
from tests.run.test_stopping import wait_until_it_listens

ROOT = Path(__file__).resolve().parents[2]
TOOLS = sorted(path.stem for path in (ROOT / 'tools').glob('*.py'))
#: What no help may import; NumPy alone takes longer than all of a help.
HEAVY = '{"torch", "mmengine", "mmseg", "numpy", "scipy", "pandas"}'


def every(commands=COMMANDS, before: tuple[str, ...] = ()) -> Iterator[tuple[list[str], Command]]:
    """Every command and group of commands, with the words that name it."""
    for command in commands:
        words = (*before, command.name)
        yield [*words], command
        yield from every(command.parts, words)


EVERY = list(every())
NAMES = [' '.join(words) for words, _ in EVERY]


def asked(capsys, call, argv: list[str]) -> tuple[int, str, str]:
    """Exit code, standard output and error of a call that the parser ends."""
    with pytest.raises(SystemExit) as end:
        call(argv)
    told = capsys.readouterr()
    return int(end.value.code or 0), told.out, told.err


# --- help -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(('words', 'command'), EVERY, ids=NAMES)
def test_a_help_has_the_commands_own_usage_and_an_example(words, command, capsys):
    code, out, _ = asked(capsys, main, [*words, '--help'])
    name = ' '.join(['sfda-bench', *words])
    assert code == 0 and out.startswith(f'usage: {name}')
    assert f'  {name}' in out[out.index('example') :]


@pytest.mark.parametrize(('words', 'command'), EVERY, ids=NAMES)
def test_the_examples_parse_and_what_they_call_is_there(words, command):
    parser = build_parser()
    for example in command.examples:
        flags = shlex.split(example.replace('\\\n', ' '), comments=True)
        arguments = parser.parse_args([*words, *flags])
        module, _, function = arguments.run.partition(':')
        assert callable(getattr(importlib.import_module(f'sfda_bench.cli.{module}'), function))
    assert command.examples


def test_the_list_of_commands_has_all_of_them(capsys):
    code, out, _ = asked(capsys, main, ['--help'])
    listed = out[out.index('commands:') :]
    assert code == 0 and all(f'\n  {c.name} ' in listed for c in COMMANDS)
    assert main([]) == 0
    assert capsys.readouterr().out == out
    assert all(len(line) <= 100 for line in out.splitlines())


def test_the_version(capsys):
    assert asked(capsys, main, ['--version']) == (0, f'sfda-bench {__version__}\n', '')
    assert asked(capsys, scripts.run_suite, ['--version'])[1] == f'sfda-bench {__version__}\n'


@pytest.mark.parametrize('argv', [['--help'], ['run', '--help'], ['checkpoint', 'convert', '-h']])
def test_help_imports_nothing_heavy(argv):
    code = (
        'import sys\nfrom sfda_bench.cli.main import main\n'
        f'try:\n    main({argv})\nexcept SystemExit:\n    pass\n'
        f'found = {HEAVY} & set(sys.modules)\nsys.exit(str(found) if found else 0)'
    )
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# --- own flags ------------------------------------------------------------------------------------


@pytest.mark.parametrize('command', [c.name for c in SUITE])
def test_flags_of_running_are_refused_where_nothing_runs(command, capsys):
    name = ['x'] if command in ('show', 'new-method', 'sweep') else []
    words = [command, *name, '--slurm-partition', 'x']
    if command in ('run', 'plan', 'reproduce', 'sweep'):
        assert build_parser().parse_args(words).slurm_partition == 'x'
        return
    for call in (main, scripts.run_suite):
        code, _, error = asked(capsys, call, words)
        assert code == 2 and 'unrecognized arguments: --slurm-partition' in error
        assert f'{command} --help' in error


@pytest.mark.parametrize(
    ('argv', 'flag'),
    [
        (['run', '--yes'], '--yes'),
        (['clean', '--json'], '--json'),
        (['status', '--force'], '--force'),
        (['list', '--suite', 'pocket'], '--suite'),
        (['plan', 'gta5_to_cityscapes'], 'gta5_to_cityscapes'),
        (['new-method', 'mine', '--records', 'x'], '--records'),
        (['data', 'list', '--images', '3'], '--images'),
        (['checkpoint', 'inspect', 'x.pth', '--branches', '4'], '--branches'),
        (['board', '--suite', 'pocket'], '--suite'),
    ],
)
def test_flags_of_another_command_are_refused(argv, flag, capsys):
    code, _, error = asked(capsys, main, argv)
    assert code == 2 and flag in error.splitlines()[-2]


@pytest.mark.parametrize(
    ('argv', 'hint'),
    [
        (['statsu'], 'did you mean status?'),
        (['shw', 'tent'], 'did you mean show'),
        (['data', 'docter'], 'did you mean doctor'),
        (['checkpoint', 'covert', 'x'], 'did you mean convert'),
        (['plan', '--netwrk', 'x'], 'did you mean --network?'),
        (['--sute', 'pocket'], 'did you mean --suite?'),
    ],
)
def test_a_misspelt_name_gets_a_hint(argv, hint, capsys):
    code, out, error = asked(capsys, main, argv)
    assert code == 2 and not out and hint in error


def test_wrong_usage_of_the_regression_check_is_no_alarm(capsys):
    assert asked(capsys, main, ['regression', '--no-such-flag'])[0] == 1
    assert asked(capsys, main, ['board', '--no-such-flag'])[0] == 2


# --- calls that users know ------------------------------------------------------------------------


def test_a_flag_in_front_is_one_of_run(pocket_root, tmp_path, capsys):
    places = ['--data-root', str(pocket_root), '--runs', str(tmp_path / 'runs')]
    flags = ['--task', 'gta5_to_cityscapes', '--method', 'source_only', *places]
    told = []
    for call, argv in (
        (main, ['--suite', 'pocket', *flags, '--dry-run']),
        (main, ['plan', '--suite', 'pocket', *flags]),
        (scripts.run_suite, ['--suite', 'pocket', *flags, '--dry-run']),
    ):
        assert call(argv) == 0
        told.append(capsys.readouterr().out)
    assert told[0] == told[1] == told[2] and '1 entries' in told[0]


@pytest.mark.parametrize(
    ('argv', 'known'),
    [
        ('--suite nosuch plan', 'plan --suite nosuch'),
        ('--json --suite nosuch explain ENTRY', 'explain ENTRY --json --suite nosuch'),
        ('--suite nosuch clean --yes', 'clean --yes --suite nosuch'),
    ],
)
def test_a_command_may_follow_its_flags(argv, known, capsys):
    assert _command_first(argv.split(), 'x', SUITE) == known.split()
    code, _, error = asked(capsys, scripts.run_suite, ['--suite', 'pocket', 'board'])
    assert code == 2 and 'unrecognized arguments: board' in error


@pytest.mark.parametrize('name', TOOLS)
def test_every_script_is_a_command_under_its_own_name(name):
    """Its help names the script, and comes without torch."""
    path = ROOT / 'tools' / f'{name}.py'
    code = (
        f'import sys, runpy\nsys.argv = [{str(path)!r}, "--help"]\n'
        f'try:\n    runpy.run_path({str(path)!r}, run_name="__main__")\nexcept SystemExit as end:\n'
        '    assert not end.code\n'
        f'found = {HEAVY} & set(sys.modules)\nsys.exit(str(found) if found else 0)'
    )
    done = subprocess.run([sys.executable, '-c', code], cwd='/', capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f'usage: python tools/{name}.py')
    assert hasattr(scripts, name)


def test_the_lists_of_the_parsers_are_those_of_the_code():
    assert tuple(DEFAULT_COUNTS) == data.PARTS
    assert tuple(sorted(SERVERS)) == board.SERVERS
    assert suite.KINDS == catalog.KINDS
    assert tuple(REGISTRIES) == suite.PARTS
    text = {command.name: command.alone('x').format_help() for command in data.DATA.parts}
    assert f'default: {CBST_IMAGES}' in text['cbst-list']
    assert f'default: {KERNEL}' in text['cbst-prior']


# --- completion, interrupts -----------------------------------------------------------------------


def completions(line: str) -> list[str]:
    """What the shell is offered at the end of a line, through argcomplete itself."""
    pytest.importorskip('argcomplete')
    given = {
        '_ARGCOMPLETE': '1', '_ARGCOMPLETE_IFS': '\n', 'COMP_LINE': line,
        'COMP_POINT': str(len(line)), 'COMP_TYPE': '9',
    }  # fmt: skip
    command = [f'{shlex.quote(sys.executable)} -m sfda_bench.cli.main 8>&1 9>/dev/null']
    done = subprocess.run(
        ['bash', '-c', *command], cwd=ROOT, env={**os.environ, **given}, capture_output=True,
        text=True,
    )  # fmt: skip
    return done.stdout.split()


def test_a_shell_completes_commands_flags_and_names():
    assert {'status', 'show', 'score', 'submit'} <= set(completions('sfda-bench s'))
    assert completions('sfda-bench data doct') == ['doctor']
    assert 'tent_online' in completions('sfda-bench plan --method tent')
    assert completions('sfda-bench clean --slurm') == []


@pytest.mark.parametrize(('asking', 'code'), [(False, 0), (True, 1)])
def test_without_argcomplete_nothing_is_said(asking, code):
    """And a shell that asks for completions does not start a run."""
    program = 'import sys; sys.modules["argcomplete"] = None\n'
    program += 'from sfda_bench.cli.scripts import prepare_data\nprepare_data(["--help"])'
    env = {key: value for key, value in os.environ.items() if key != '_ARGCOMPLETE'}
    done = subprocess.run(
        [sys.executable, '-c', program], cwd=ROOT, capture_output=True, text=True,
        env={**env, **({'_ARGCOMPLETE': '1'} if asking else {})},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (code, '')
    assert bool(done.stdout) != asking


@pytest.mark.parametrize('after', [0.0, 0.2, 0.5])
def test_ctrl_c_is_one_line_from_the_first_import_on(after):
    command = [sys.executable, '-m', 'sfda_bench.cli.main', 'checkpoint', 'inspect', 'x.pth']
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    wait_until_it_listens(process.pid)
    time.sleep(after)
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 130 and 'Traceback' not in output, output
    assert output.strip().splitlines() == ['interrupted; start it again']
