"""The README's method, as written there: from its two files to a record."""

from __future__ import annotations

import re
from pathlib import Path

from tests.suite.conftest import Bench

README = Path(__file__).parents[1] / 'README.md'


def blocks() -> tuple[str, str]:
    code, config = re.findall(r'```python\n(.*?)```', README.read_text(), flags=re.S)
    return code, config


def test_the_method_of_the_readme_runs(pocket_root, tmp_path):
    code, config = blocks()
    (tmp_path / 'infomax_code.py').write_text(code)
    (tmp_path / 'infomax.py').write_text(config + "\ncode_files = ['infomax_code.py']\n")
    bench = Bench(pocket_root, tmp_path)
    summary = bench.run(bench.plan(f'{tmp_path / "infomax.py"}[iters=2]'))
    assert summary.failures == [] and len(summary.written) == 1
