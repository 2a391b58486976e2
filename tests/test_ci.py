"""The CI files call make targets that exist, and markers that are known."""

from __future__ import annotations

import re
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
    local = set(re.findall(r'^make ([a-z]+)', (ROOT / '.ci/run').read_text(), flags=re.M))
    assert offered == called == TIERS | {'check', 'test'}
    assert {'check', 'test', 'pocket'} == local
    assert offered | local | {'install'} <= TARGETS


def test_the_pull_request_tiers_are_those_of_the_local_script():
    text = (ROOT / '.github/workflows/ci.yml').read_text()
    assert '\'["check", "fast", "test", "pocket"]\'' in text
