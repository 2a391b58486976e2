"""Parsers of SLURM's output that take nothing but an answer for one.

Clusters put banners, warnings and headings into it, and their controller is now and then busy.
"""

from __future__ import annotations

import getpass
import re
import subprocess
from collections.abc import Iterable

ALIVE = (
    'PENDING', 'RUNNING', 'CONFIGURING', 'COMPLETING', 'REQUEUED', 'SUSPENDED', 'REQUEUE_HOLD',
    'REQUEUE_FED', 'RESIZING', 'RESV_DEL_HOLD', 'SIGNALING', 'SPECIAL_EXIT', 'STAGE_OUT', 'STOPPED',
)  # fmt: skip
ANSWER_SECONDS = 60.0
_SUBMITTED = re.compile(r'^Submitted batch job (\d+)(?: on cluster \S+)?\s*$', re.MULTILINE)


def queue_states(job_ids: Iterable[str]) -> dict[str, str] | None:
    """State of each job in the queue; jobs that left it are missing.

    Args:
        job_ids: Those wanted, ``12`` or ``12_3``.

    Returns:
        ``None`` if squeue fails, hangs, or is not there: nothing is known then.
    """
    wanted = set(job_ids)
    mine = f'--user={getpass.getuser()}'
    command = ['squeue', '--noheader', '--array', '--format=%i %T', '--states=all', mine]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            encoding='utf-8',
            errors='replace',
            stdin=subprocess.DEVNULL,
            timeout=ANSWER_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    lines = (line.split() for line in done.stdout.splitlines())
    pairs = (words for words in lines if len(words) == 2 and words[0] in wanted)
    return {job: state for job, state in pairs if state in ALIVE}


def submitted_id(output: str | bytes) -> str | None:
    """The job's number in the output of sbatch, ``None`` if it states none."""
    text = output.decode('utf-8', 'replace') if isinstance(output, bytes) else output
    found = _SUBMITTED.findall(text)
    return found[-1] if found else None


def cancel(job_ids: Iterable[str]) -> bool:
    """Cancel jobs; whether scancel said that it did."""
    command = ['scancel', *sorted(set(job_ids))]
    try:
        done = subprocess.run(command, check=False, timeout=ANSWER_SECONDS)
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0
