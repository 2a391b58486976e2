"""Stopping: what is asked to stop writes a checkpoint, and what continues ends with equal bytes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook

from sfda_bench import interrupts
from sfda_bench.registry import HOOKS
from sfda_bench.run.execute import prepare
from sfda_bench.run.stage import run_stage
from sfda_bench.store.filenames import FINAL_NAME, RESUME_NAME

ROOT = Path(__file__).parents[2]
ACDC = 'cityscapes_to_acdc'
#: All that a test-time adapter may remember: teacher, source model, weights drawn to return.
COTTA = {
    'model.teacher': {'momentum': 0.9},
    'model.predict_on': 'teacher',
    'model.restore': 0.2,
    'model.averaging': {'threshold': 0.9},
}


@HOOKS.register_module()
class StopAfter(Hook):
    """Ends a run, or asks it to end, after some iterations."""

    priority = 'HIGHEST'

    def __init__(self, at: int, signum: int = 0) -> None:
        self.at, self.signum = at, signum

    def _stop(self, done: int) -> None:
        if done != self.at:
            return
        if self.signum:
            signal.raise_signal(self.signum)
        else:
            raise KeyboardInterrupt

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self._stop(runner.iter + 1)

    def after_test_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self._stop(batch_idx + 1)


@pytest.fixture
def listening():
    before = {number: signal.getsignal(number) for number in interrupts.SIGNALS}
    hook = sys.unraisablehook
    interrupts.listen()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
    sys.unraisablehook = hook
    interrupts._requests.times.clear()


def variant(store, stage, folder: Path, stop: dict | None = None, **options) -> Path:
    """A planned stage's config in a folder of its own."""
    prepare(stage, store)
    config = Config.fromfile(str(store.path(stage.id) / 'config.py'), import_custom_modules=False)
    config.work_dir = str(folder)
    stops = [dict(type='StopAfter', **stop)] if stop else []
    config.custom_hooks = [*config.get('custom_hooks', []), *stops]
    for key in ('test_evaluator',):
        if key in config:
            config[key].out_dir = str(folder / 'artifacts')
    config.merge_from_dict(options)
    folder.mkdir(exist_ok=True)
    config.dump(str(folder / 'config.py'))
    return folder / 'config.py'


def written(folder: Path) -> dict[str, bytes]:
    files = [p for p in (folder / 'artifacts').rglob('*') if p.is_file()]
    found = {str(p.relative_to(folder)): p.read_bytes() for p in files}
    if (folder / FINAL_NAME).is_file():
        found[FINAL_NAME] = (folder / FINAL_NAME).read_bytes()
    found['warnings'] = (folder / 'warnings.json').read_bytes()
    return found


@pytest.fixture(scope='module')
def streams(pocket_root: Path, tmp_path_factory: pytest.TempPathFactory):
    """A bench whose source model for ACDC is trained."""
    from tests.harness import Bench

    bench = Bench(pocket_root, tmp_path_factory.mktemp('stopping'))
    assert bench.run(bench.plan('source_only', tasks=[ACDC])).failures == []
    return bench


@pytest.mark.parametrize(
    ('method', 'images', 'options'),
    [
        ('tent_online', 8, {}),
        ('tent_episodic', 8, {}),
        ('tent_continual', 24, COTTA),
        ('tent_continual[precision=bf16]', 24, COTTA),
    ],
)
def test_a_stream_that_was_killed_continues_and_writes_the_same_bytes(
    streams, tmp_path, method, images, options
):
    plan = streams.plan(method, tasks=[ACDC])
    stage = plan.stages[plan.entries[0].stages[1]]
    often = {'test_cfg.checkpoint_interval': 2, **options}
    run_stage(variant(streams.store, stage, tmp_path / 'whole', **often), guard=False)
    for at in (images // 2 + 1, images - 1):
        with pytest.raises(KeyboardInterrupt):
            run_stage(
                variant(streams.store, stage, tmp_path / 'parts', {'at': at}, **often), guard=False
            )
        assert (tmp_path / 'parts' / RESUME_NAME).is_file()
    run_stage(variant(streams.store, stage, tmp_path / 'parts', **often), guard=False)
    whole, parts = written(tmp_path / 'whole'), written(tmp_path / 'parts')
    assert len(whole) == images + 2
    assert parts == whole
    assert not (tmp_path / 'parts' / RESUME_NAME).exists()


def test_a_stream_whose_checkpoint_is_damaged_starts_again(streams, tmp_path):
    plan = streams.plan('tent_online', tasks=[ACDC])
    stage = plan.stages[plan.entries[0].stages[1]]
    run_stage(variant(streams.store, stage, tmp_path / 'whole'), guard=False)
    config = variant(streams.store, stage, tmp_path / 'again')
    (config.parent / RESUME_NAME).write_bytes(b'cut')
    run_stage(config, guard=False)
    assert written(tmp_path / 'again') == written(tmp_path / 'whole')


@pytest.mark.parametrize('method', ['tent[iters=10,batch_size=2]', 'tent_online'])
def test_a_request_ends_after_the_iteration_and_loses_nothing(streams, tmp_path, listening, method):
    """SIGTERM in the middle of an iteration that no interval would have saved."""
    plan = streams.plan(method, tasks=[ACDC])
    stage = plan.stages[plan.entries[0].stages[1]]
    run_stage(variant(streams.store, stage, tmp_path / 'whole'), guard=False)
    stop = {'at': 3, 'signum': int(signal.SIGTERM)}
    with pytest.raises(interrupts.Stopped) as error:
        run_stage(variant(streams.store, stage, tmp_path / 'parts', stop), guard=False)
    assert error.value.code == 143
    saved = torch.load(tmp_path / 'parts' / RESUME_NAME, weights_only=False)
    assert saved.get('done', saved.get('meta', {}).get('iter')) == 3
    interrupts.listen()
    run_stage(variant(streams.store, stage, tmp_path / 'parts'), guard=False)
    assert written(tmp_path / 'parts') == written(tmp_path / 'whole')


@pytest.mark.parametrize(
    ('method', 'total', 'resumed'),
    [
        ('tent[iters=150,batch_size=2]', 150, 'resumed epoch'),
        ('tent_continual[rounds=20]', 160, 'resumed after'),
    ],
)
def test_ctrl_c_on_a_suite_stops_its_stages_at_a_checkpoint(
    streams, listening, tmp_path, method, total, resumed
):
    """The same command then continues there, sealed, and the result is that of a run in one go."""
    plan = streams.plan(method, tasks=[ACDC])
    stage = plan.stages[plan.entries[0].stages[1]]
    folder = streams.store.path(stage.id)

    def interrupt() -> None:
        while not (folder / 'progress.json').is_file():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(interrupts.Stopped):
        streams.run(plan)
    status = streams.store.status(stage.id)
    assert (status.state, status.reason) == ('interrupted', 'stopped by SIGTERM')
    content = torch.load(folder / RESUME_NAME, weights_only=False)
    saved = content.get('done', content.get('meta', {}).get('iter'))
    assert 0 < saved < total
    assert 'Traceback' not in (folder / 'log.txt').read_text(encoding='utf-8')
    interrupts.listen()
    assert streams.run(streams.plan(method, tasks=[ACDC])).failures == []
    assert not (folder / RESUME_NAME).exists()
    assert resumed in (folder / 'log.txt').read_text(encoding='utf-8')
    run_stage(variant(streams.store, stage, tmp_path / 'whole'), guard=False)
    assert written(tmp_path / 'whole') == written(folder)


STUBBORN = """
import signal, time
from sfda_bench.adapt.online import OnlineAdapter
from sfda_bench.registry import MODELS

@MODELS.register_module()
class Stubborn(OnlineAdapter):
    def objective(self, images, logits):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            time.sleep(0.1)
"""


def test_a_stage_that_does_not_end_is_killed(streams, listening, tmp_path, monkeypatch):
    monkeypatch.setattr('sfda_bench.run.executors.local.STOP_SECONDS', 1.0)
    (tmp_path / 'stubborn_code.py').write_text(STUBBORN, encoding='utf-8')
    (tmp_path / 'stubborn.py').write_text(
        "card = dict(name='stubborn', title='S', track='test-time', setting='online', "
        "fidelity='paper')\ncode_files = ['stubborn_code.py']\nstages = [dict(name='stream', "
        "kind='stream', adapter=dict(type='Stubborn'), optim_wrapper=dict(type='OptimWrapper', "
        "optimizer=dict(type='SGD', lr=0.0)))]\n",
        encoding='utf-8',
    )
    plan = streams.plan(str(tmp_path / 'stubborn.py'), tasks=[ACDC])
    stage_id = plan.entries[0].stages[1]

    def interrupt() -> None:
        log = streams.store.path(stage_id) / 'log.txt'
        while not (log.is_file() and 'Load checkpoint' in log.read_text(encoding='utf-8')):
            time.sleep(0.05)
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    began = time.monotonic()
    with pytest.raises(interrupts.Stopped):
        streams.run(plan)
    assert time.monotonic() - began < 30
    assert streams.store.status(stage_id).reason == 'stopped by the user'


def wait_until_it_listens(pid: int) -> None:
    """Until a process catches SIGHUP; before, the interpreter itself is starting."""
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        status = Path(f'/proc/{pid}/status').read_text(encoding='utf-8')
        caught = next(line for line in status.splitlines() if line.startswith('SigCgt'))
        if int(caught.split()[1], 16) & 1 << (signal.SIGHUP - 1):
            return
        time.sleep(0.005)
    raise TimeoutError('the command does not listen for SIGHUP')


@pytest.mark.parametrize(
    ('signum', 'after'),
    [
        *((signal.SIGINT, after) for after in (0.0, 0.3, 1.0, 2.5)),
        (signal.SIGTERM, 0.3),
        (signal.SIGHUP, 1.0),
    ],
)
def test_in_the_first_seconds_a_stop_is_one_line(bench, signum, after):
    """Imports, planning, the start of the fork server: whichever it lands in on this machine."""
    command = [sys.executable, str(ROOT / 'tools/run_suite.py'), '--suite', bench.suite]
    command += ['--data-root', str(bench.data_root), '--runs', str(bench.store.root)]
    command += ['--records', str(bench.records), '--task', 'gta5_to_cityscapes']
    suite = subprocess.Popen(
        [*command, '--method', 'source_only'],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding='utf-8',
        start_new_session=True,
    )
    wait_until_it_listens(suite.pid)
    time.sleep(after)
    os.killpg(suite.pid, signum)
    output = suite.communicate(timeout=120)[0]
    assert suite.returncode == 128 + signum, output
    assert 'Traceback' not in output and 'Error' not in output
    assert [line for line in output.splitlines() if line][-1].startswith('interrupted; continue')
    assert output.count('interrupted; continue') == 1
