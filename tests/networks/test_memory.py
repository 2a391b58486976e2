import os
import subprocess
import sys

import pytest

from tests.networks.helpers import CONFIGS, ROOT


@pytest.mark.slow
@pytest.mark.parametrize('name', ['deeplabv2_r101', 'segformer_b5', 'daformer_b5'])
def test_one_adaptation_step_at_full_size_stays_within_12_gib(name):
    script = ROOT / 'tests' / 'networks' / 'memory_step.py'
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', str(script), str(CONFIGS / f'{name}.py')],
        capture_output=True,
        text=True,
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout.split()[-1]) < 12 * 1024
