"""Freed memory is used again; the messages of the stack stay quiet."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource
import torch
from sfda_bench.stack import keep_freed_memory
if {keep}:
    keep_freed_memory()
for _ in range(40):  # until there is a hole that fits an aligned tensor
    torch.ones(1 << 24)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(8):
    torch.ones(1 << 24)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(keep: bool) -> int:
    command = [sys.executable, '-c', FAULTS.format(keep=keep)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='malloc of glibc')
def test_a_freed_tensor_leaves_its_pages_to_the_next():
    """64 MB are 16384 pages, fewer where the kernel hands out huge ones."""
    assert faults(keep=True) < 100 < faults(keep=False)
