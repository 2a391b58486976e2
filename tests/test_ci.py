"""The CI files call make targets that exist, and markers that are known."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
TARGETS = set(re.findall(r'^([a-z-]+):', (ROOT / 'Makefile').read_text(), flags=re.M))
TIERS = {'fast', 'pocket', 'gpu', 'nightly'}


def test_both_services_and_the_local_script_call_targets_that_exist():
    github = yaml.safe_load((ROOT / '.github/workflows/ci.yml').read_text())
    # YAML 1.1 reads the key `on` as true
    offered = set(github[True]['workflow_dispatch']['inputs']['tier']['options'])
    gitlab = yaml.safe_load((ROOT / '.gitlab-ci.yml').read_text())
    called = {job['variables']['TIER'] for job in gitlab.values() if 'extends' in job}
    local = set(
        re.findall(r'^within [0-9]+ make ([a-z]+)', (ROOT / '.ci/run').read_text(), flags=re.M)
    )
    assert offered == called == TIERS | {'check', 'test'}
    assert {'check', 'test', 'pocket', 'posix'} == local
    assert offered | local | {'install'} <= TARGETS


def test_the_pull_request_tiers_are_those_of_the_local_script():
    text = (ROOT / '.github/workflows/ci.yml').read_text()
    assert '\'["check", "fast", "test", "pocket"]\'' in text


def test_the_local_script_hands_on_only_what_it_names(tmp_path):
    """With a stand-in for make that prints its environment."""
    shutil.copytree(ROOT / '.ci', tmp_path / '.ci')
    (tmp_path / 'bin').mkdir()
    make = tmp_path / 'bin' / 'make'
    make.write_text('#!/bin/sh\necho "umask $(umask)"\nenv\n', encoding='utf-8')
    make.chmod(0o755)
    given = {
        'PATH': f'{make.parent}{os.pathsep}{os.environ["PATH"]}',
        'HOME': str(tmp_path),
        'PIP_INDEX_URL': 'https://index.example',
        'https_proxy': 'http://proxy.example',
        'PYTHONDONTWRITEBYTECODE': '1',
        'COLUMNS': '20',
        'LC_ALL': 'POSIX',
        'SFDA_DATA_ROOT': '/data',
    }
    done = subprocess.run(
        ['bash', '-c', 'umask 077; exec .ci/run'],
        cwd=tmp_path, env=given, capture_output=True, encoding='utf-8', check=True,
    )  # fmt: skip
    names = {line.split('=')[0] for line in done.stdout.splitlines() if '=' in line}
    assert names - {'PWD', 'OLDPWD', 'SHLVL', '_'} == {
        'PATH', 'HOME', 'LANG', 'PIP_INDEX_URL', 'https_proxy'
    }  # fmt: skip
    assert done.stdout.count('umask 0022') == 4
