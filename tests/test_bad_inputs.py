"""No traceback for bad input anywhere: commands x inputs, each cell found / expected / fix."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sfda_bench import interrupts
from tests import bad_inputs as table

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope='module')
def world(pocket_root, tmp_path_factory):
    """Good input of every kind; never changed."""
    before = {number: signal.getsignal(number) for number in interrupts.SIGNALS}
    hook = sys.unraisablehook
    folder = tmp_path_factory.mktemp('bad') / 'world'
    table.make_world(folder, pocket_root)
    yield folder
    sys.unraisablehook = hook
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize('slot', [*table.READS, *table.READ_FOLDERS], ids=str)
def test_what_is_read(slot, world, pocket_root, tmp_path):
    """The good input works; each bad one is named, with what was expected and the way out."""
    where, data = tmp_path / 'w', str(pocket_root)
    if slot.good is not None:
        with table.fresh(world, where):
            code, said = table.answer(slot.tool, slot.argv, where, data)
        assert code == slot.good, said
    wrong = {}
    kinds = table.FOLDERS if slot.is_folder else table.FILES
    for kind in [kind for kind in kinds if kind not in slot.skip]:
        with table.fresh(world, where):
            table.spoil(where / slot.bad, kind, slot.is_folder)
            code, said = table.answer(slot.tool, slot.argv, where, data)
        found = table.faults(code, said, Path(slot.bad).name)
        if found:
            wrong[kind] = (found, said)
    assert not wrong


@pytest.mark.parametrize('name, tool, argv, shape', table.WRITES, ids=[w[0] for w in table.WRITES])
@pytest.mark.parametrize('kind', ['below a file', 'wrong kind'])
def test_what_is_written(name, tool, argv, shape, kind, world, pocket_root, tmp_path):
    """A place that cannot be written is named, and what stands there is as it was."""
    where = tmp_path / 'w'
    with table.fresh(world, where):
        out = table.out_of(shape, kind, where)
        before = {path.name for path in where.iterdir()}
        filled = [text.replace('{out}', out) for text in argv]
        code, said = table.answer(tool, filled, where, str(pocket_root))
        assert not table.faults(code, said, 'taken'), said
        assert {path.name for path in where.iterdir()} - before <= {'pocket', '.pocket.lock'}


@pytest.fixture(scope='module')
def alone(world, pocket_root, tmp_path_factory):
    """Answers from a process of its own: ``(kind, command that starts it) -> cells``."""

    def ask(kind, *start):
        folder = tmp_path_factory.mktemp('alone')
        arguments = [kind, world, folder / 'w', pocket_root, folder / 'answers.json']
        command = [*start, sys.executable, '-m', 'tests.bad_inputs', *map(str, arguments)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads((folder / 'answers.json').read_text())

    return ask


def _works(*command):
    return (
        shutil.which(command[0])
        and not subprocess.run([*command, 'true'], capture_output=True, check=False).returncode
    )


#: Root may read and write everything; a process without this right is like any user's.
USER = ('setpriv', '--bounding-set=-dac_override,-dac_read_search') if os.getuid() == 0 else ()


@pytest.mark.parametrize('kind', ['unreadable', 'read-only'])
def test_permissions(kind, alone):
    if USER and not _works(*USER):
        pytest.skip('root reads everything, and setpriv cannot take that from it')
    answers = alone(kind, *USER)
    wrong = {
        k: (f, said) for k, (c, said, name) in answers.items() if (f := table.faults(c, said, name))
    }
    assert len(answers) >= len(table.WRITES) and not wrong


def test_a_full_disk(alone):
    """Every command on a disk of 4 kB: the place is named, and nothing is left there."""
    if not _works('unshare', '-Urm'):
        pytest.skip('no user namespaces: a small disk cannot be mounted')
    answers = alone('full', 'unshare', '-Urm')
    wrong = {
        k: (f, said) for k, (c, said, name) in answers.items() if (f := table.faults(c, said, name))
    }
    assert len(answers) == len(table.WRITES) and not wrong


TOOLS = [
    ['run_suite.py', 'list'],
    ['prepare_data.py', 'list'],
    ['make_leaderboard.py', '--records', 'records', '--explain', 'tent'],
    ['capsule.py', 'verify', 'capsule.zip'],
    ['convert_checkpoint.py', 'inspect', 'whole.pth'],
]


@pytest.mark.parametrize('argv', TOOLS, ids=[argv[0] for argv in TOOLS])
def test_nobody_reads_the_output(argv, world):
    """``| head``: silence and the code of SIGPIPE; a full disk behind ``>`` is told."""
    command = [sys.executable, str(ROOT / 'tools' / argv[0]), *argv[1:]]
    reader, writer = os.pipe()
    os.close(reader)
    env = {**os.environ, 'PYTHONWARNINGS': 'ignore', 'LC_ALL': 'C'}
    done = subprocess.run(command, cwd=world, stdout=writer, stderr=subprocess.PIPE, env=env)
    os.close(writer)
    said = done.stderr.decode()
    assert done.returncode == 141 and 'Traceback' not in said and 'Broken' not in said, said
    with Path('/dev/full').open('w') as full:
        done = subprocess.run(command, cwd=world, stdout=full, stderr=subprocess.PIPE, env=env)
    assert not table.faults(done.returncode, done.stderr.decode(), 'standard output')
