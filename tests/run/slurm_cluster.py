"""A real SLURM of one node, for tests: munge, controller and daemon in one folder."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

PROGRAMS = ('munged', 'slurmctld', 'slurmd', 'sbatch', 'squeue', 'scancel', 'scontrol')
CONFIG = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmctldPort={port}
SlurmdPort={port_d}
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
SchedulerParameters=sched_interval=1,bf_interval=1,defer_batch
MinJobAge=60
JobRequeue=1
SwitchType=switch/none
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=debug Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def missing_programs() -> list[str]:
    """Programs of Debian's slurm-wlm and munge that are not installed."""
    path = os.pathsep.join([os.environ.get('PATH', ''), '/usr/sbin', '/sbin'])
    return [name for name in PROGRAMS if shutil.which(name, path=path) is None]


class Cluster:
    """Starts and stops the three daemons.

    Args:
        folder: Short path for sockets, state and logs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.host = socket.gethostname().split('.')[0]
        self.daemons: list[subprocess.Popen] = []

    def start(self) -> None:
        """Write the configuration, start everything, wait until the node is idle."""
        for name in ('state', 'spool'):
            (self.folder / name).mkdir()
        key = self.folder / 'munge.key'
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        config = self.folder / 'slurm.conf'
        config.write_text(
            CONFIG.format(
                host=self.host,
                user=os.environ.get('USER') or 'root',
                folder=self.folder,
                cpus=os.cpu_count(),
                port=_free_port(),
                port_d=_free_port(),
            )
        )
        (self.folder / 'cgroup.conf').write_text('CgroupPlugin=cgroup/v1\n')
        os.environ['SLURM_CONF'] = str(config)
        os.environ['PATH'] += os.pathsep + '/usr/sbin'
        self._daemon(
            'munged', '--foreground', '--force', f'--key-file={key}',
            f'--socket={self.folder}/munge.socket', f'--pid-file={self.folder}/munged.pid',
            f'--log-file={self.folder}/munged.log', f'--seed-file={self.folder}/munged.seed',
        )  # fmt: skip
        time.sleep(1.0)
        self._daemon('slurmctld', '-D')
        self._daemon('slurmd', '-D')
        self._wait_idle()

    def _daemon(self, *command: str) -> None:
        log = (self.folder / f'{command[0]}.out').open('w')
        self.daemons.append(subprocess.Popen(command, stdout=log, stderr=log))

    def _wait_idle(self) -> None:
        for _ in range(60):
            done = subprocess.run(['sinfo', '-h', '-o', '%T'], capture_output=True, text=True)
            if 'idle' in done.stdout:
                return
            time.sleep(1.0)
        raise RuntimeError(f'no idle node\n{self.logs()}')

    def logs(self) -> str:
        """Ends of all logs."""
        files = [*self.folder.glob('*.log'), *self.folder.glob('*.out')]
        return '\n'.join(f'== {f.name}\n{f.read_text()[-1500:]}' for f in files)

    def stop(self) -> None:
        """Stop all daemons."""
        for daemon in reversed(self.daemons):
            daemon.terminate()
        for daemon in self.daemons:
            try:
                daemon.wait(timeout=20)
            except subprocess.TimeoutExpired:
                daemon.kill()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]
