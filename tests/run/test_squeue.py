"""Output of SLURM's commands with everything that clusters put into it."""

from __future__ import annotations

import getpass
import os
from pathlib import Path

import pytest

from sfda_bench.errors import BenchError
from sfda_bench.plan.model import Stage
from sfda_bench.run import squeue
from sfda_bench.run.executors.slurm import SlurmExecutor, _require_programs, job_name
from sfda_bench.run.slurm_time import minutes_of
from sfda_bench.run.squeue import queue_states, submitted_id
from sfda_bench.store.filenames import JOB_FILE
from sfda_bench.store.runs import StageStatus, Store


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Writes a stand-in for one of SLURM's commands."""
    folder = tmp_path / 'bin'
    folder.mkdir()
    monkeypatch.setenv('PATH', f'{folder}{os.pathsep}{os.environ["PATH"]}')

    def write(name: str, script: str) -> None:
        path = folder / name
        path.write_text(f'#!/bin/sh\n{script}\n', encoding='utf-8')
        path.chmod(0o755)

    return write


@pytest.mark.parametrize(
    'extra',
    [
        'Welcome to the big cluster',
        'NOTICE',
        'CLUSTER: alpha',
        'CLUSTER:\talpha',
        'JOBID STATE',
        '12 of 40 nodes are down',
        'slurm_load_jobs warning: RUNNING',
        '',
        '****',
        'Gr\\303\\274\\303\\237e',
        '\\377\\376',
        '99 RUNNING',
    ],
)
@pytest.mark.parametrize('after', [False, True])
def test_lines_that_are_no_answer_are_passed_over(program, extra, after):
    lines = [extra, '12 RUNNING', '13_1 PENDING', '14 COMPLETED']
    lines = [*lines[1:], extra] if after else lines
    program('squeue', '\n'.join(f"printf '%b\\n' '{line}'" for line in lines))
    assert queue_states(['12', '13_1', '14', '15']) == {'12': 'RUNNING', '13_1': 'PENDING'}


@pytest.mark.parametrize(
    'script', ['exit 1', 'echo "12 RUNNING"; exit 2', 'kill -9 $$', 'sleep 20', None]
)
def test_a_squeue_that_fails_says_nothing(program, script, monkeypatch):
    monkeypatch.setattr(squeue, 'ANSWER_SECONDS', 0.5)
    if script is None:
        monkeypatch.setenv('PATH', '/nowhere')
    else:
        program('squeue', script)
    assert queue_states(['12']) is None


@pytest.mark.parametrize(
    ('output', 'number'),
    [
        ('Submitted batch job 17', '17'),
        (b'Submitted batch job 17\n', '17'),
        ('Note: job 24 hours at most\nSubmitted batch job 17\n', '17'),
        ('Submitted batch job 17 on cluster alpha\nsee job 3\n', '17'),
        ('sbatch: job 5 is large\n', None),
        (b'\xff\n', None),
    ],
)
def test_the_number_of_a_job_is_that_of_sbatchs_own_line(output, number):
    assert submitted_id(output) == number


class Submitted(SlurmExecutor):
    """Whose one job is in the queue already."""

    def _submit(self, group, store):
        self._jobs = {stage.id: '12' for stage in group}


def test_a_squeue_that_fails_for_a_while_cancels_nothing(program, tmp_path, capsys):
    count, cancelled = tmp_path / 'count', tmp_path / 'cancelled'
    program(
        'squeue',
        f'echo x >> {count}\n[ $(wc -l < {count}) -gt 3 ] || exit 1\necho Hello\n'
        f'[ $(wc -l < {count}) -gt 5 ] || echo "12 RUNNING"',
    )
    program('scancel', f'touch {cancelled}')
    store = Store(tmp_path / 'runs')
    stage = Stage('abc', 'adapt', 'adapt', 'a stage', {}, [], {}, '')
    status = StageStatus(id='abc', name='adapt', kind='adapt', title='t', state='planned')
    store.write(status)
    seen: list[str] = []

    def report(_, state: str, reason: str) -> None:
        seen.append(state)
        if state == 'running':
            status.state = 'done'
            store.write(status)

    Submitted({}, poll_seconds=0.01).run([stage], store, report)
    assert seen == ['running', 'done']
    assert not cancelled.exists()
    assert capsys.readouterr().err.count('squeue does not answer') == 1


def test_only_an_interrupt_cancels(program, tmp_path, capsys):
    cancelled = tmp_path / 'cancelled'
    program('squeue', 'echo "12 RUNNING"')
    program('scancel', f'echo "$@" > {cancelled}')
    store = Store(tmp_path / 'runs')
    stage = Stage('abc', 'adapt', 'adapt', 'a stage', {}, [], {}, '')
    store.write(StageStatus(id='abc', name='adapt', kind='adapt', title='t', state='planned'))

    def fails_with(error: type[BaseException]):
        def report(*_: object) -> None:
            raise error

        return report

    with pytest.raises(OSError):
        Submitted({}, poll_seconds=0.01).run([stage], store, fails_with(OSError))
    assert not cancelled.exists() and 'go on' in capsys.readouterr().err
    with pytest.raises(KeyboardInterrupt):
        Submitted({}, poll_seconds=0.01).run([stage], store, fails_with(KeyboardInterrupt))
    assert cancelled.read_text(encoding='utf-8').split() == ['12']


def test_missing_commands_are_named_before_anything_is_planned(monkeypatch):
    monkeypatch.setenv('PATH', '/nowhere')
    with pytest.raises(BenchError, match='without sbatch, squeue, scancel, srun'):
        _require_programs()


def waiting_stage(tmp_path) -> tuple[Store, Stage]:
    store = Store(tmp_path / 'runs')
    store.write(StageStatus(id='abc', name='adapt', kind='adapt', title='t', state='planned'))
    return store, Stage('abc', 'adapt', 'adapt', 'tent[lr=1e-4] adapt gta5', {}, [], {}, '')


def test_who_comes_back_submits_nothing_twice(program, tmp_path, monkeypatch, capsys):
    store, stage = waiting_stage(tmp_path)
    (store.path('abc') / JOB_FILE).write_text('12\n')
    program('squeue', 'echo "12 PENDING"')
    monkeypatch.setattr(SlurmExecutor, '_submit', None)
    SlurmExecutor({}, detach=True).run([stage], store, lambda *_: None)
    assert 'queued or running already: 12' in capsys.readouterr().err


def test_a_job_that_left_the_queue_is_submitted_again(program, tmp_path, monkeypatch):
    store, stage = waiting_stage(tmp_path)
    (store.path('abc') / JOB_FILE).write_text('11\n')
    program('squeue', 'echo "12 RUNNING"')
    submitted: list[str] = []
    monkeypatch.setattr(
        SlurmExecutor, '_submit', lambda self, group, store: submitted.extend(s.id for s in group)
    )
    SlurmExecutor({}, detach=True).run([stage], store, lambda *_: None)
    assert submitted == ['abc']


def test_without_an_answer_nothing_is_submitted(program, tmp_path, monkeypatch):
    store, stage = waiting_stage(tmp_path)
    (store.path('abc') / JOB_FILE).write_text('12\n')
    program('squeue', 'exit 1')
    monkeypatch.setattr(SlurmExecutor, '_submit', None)
    with pytest.raises(BenchError, match='squeue does not answer'):
        SlurmExecutor({}, detach=True).run([stage], store, lambda *_: None)


def test_squeue_is_asked_for_own_jobs_alone(program, tmp_path):
    asked = tmp_path / 'asked'
    program('squeue', f'echo "$@" > {asked}')
    assert queue_states(['12']) == {}
    assert f'--user={getpass.getuser()}' in asked.read_text().split()


def test_a_job_is_named_by_its_stage(tmp_path):
    _, stage = waiting_stage(tmp_path)
    assert job_name([stage]) == 'sfda-tent-lr=1e-4-adapt-gta5'
    assert job_name([stage, stage, stage]).endswith('+2')


@pytest.mark.parametrize(
    'text, minutes',
    [('90', 90), ('30:00', 30), ('0:30', 1), ('24:00:00', 1440), ('1-12', 2160), ('1-00:00', 1440),
     ('2-01:30:00', 2970)],
)  # fmt: skip
def test_times_in_slurms_forms(text, minutes):
    assert minutes_of(text) == minutes


@pytest.mark.parametrize('text', ['', '0', '-5', 'a day', '1:2:3:4', '1-2:3:4:5'])
def test_other_times_are_refused(text):
    with pytest.raises(ValueError):
        minutes_of(text)
