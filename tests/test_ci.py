"""The CI files call make targets, files and commands that exist; the forms are forms."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
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
    assert {'check', 'test', 'pocket', 'posix', 'wheel'} == local
    assert offered | local | {'install'} <= TARGETS


def test_the_pull_request_tiers_are_those_of_the_local_script():
    text = (ROOT / '.github/workflows/ci.yml').read_text()
    assert '\'["check", "fast", "test", "pocket"]\'' in text


def test_the_files_that_a_cache_is_keyed_by_exist():
    text = (ROOT / '.github/workflows/ci.yml').read_text()
    globs = re.findall(r"hashFiles\('([^']+)'\)", text)
    assert globs and all(list(ROOT.glob(name)) for name in globs), globs


def test_a_sent_record_is_examined_by_code_that_its_sender_did_not_choose(tmp_path):
    """The command of the workflow, on a folder as it lays it out: one good record, one spoiled."""
    flow = yaml.safe_load((ROOT / '.github/workflows/submission.yml').read_text())
    assert set(flow[True]) == {'pull_request'} and flow['permissions'] == {'contents': 'read'}
    steps = flow['jobs']['validate']['steps']
    ours, theirs = [step['with'] for step in steps if step.get('uses', '').startswith('actions/ch')]
    assert 'base.sha' in ours['ref'] and 'path' not in ours and 'ref' not in theirs
    target, command = [step['run'] for step in steps if 'run' in step]
    assert target.split() == ['make', 'install']
    program, tool, flag, folder = command.split()
    assert folder == f'{theirs["path"]}/{theirs["sparse-checkout"]}'
    assert program == '.venv/bin/python' and flow[True]['pull_request']['paths'] == [
        f'{theirs["sparse-checkout"]}/**'
    ]
    slug = 'gta5_to_cityscapes__deeplabv2_pocket__tent'
    sent = tmp_path / folder / 'pocket' / f'{slug}__s7.json'
    sent.parent.mkdir(parents=True)
    source = ROOT / 'results/records/pocket' / f'{slug}__s0.json'
    good = source.read_text().replace('"seed": 0', '"seed": 7').replace('__s0.npz', '__s7.npz')
    shutil.copy(source.with_suffix('.npz'), sent.with_suffix('.npz'))
    spoiled = json.loads(good)
    spoiled['scores']['miou'] += 5.0
    for text, code in ((good, 0), (json.dumps(spoiled), 1)):
        sent.write_text(text)
        done = subprocess.run(
            [sys.executable, ROOT / tool, flag, folder],
            cwd=tmp_path, capture_output=True, encoding='utf-8',
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr


def test_the_forms_are_forms():
    """What GitHub asks of an issue form; it shows none with a mistake, and says so to nobody."""
    folder = ROOT / '.github/ISSUE_TEMPLATE'
    forms = [path for path in sorted(folder.glob('*.yml')) if path.stem != 'config']
    assert len(forms) >= 3
    for path in forms:
        form = yaml.safe_load(path.read_text())
        assert set(form) <= {'name', 'description', 'labels', 'body'}, path
        assert all(form[key] for key in ('name', 'description', 'body'))
        ids = [part['id'] for part in form['body']]
        assert len(set(ids)) == len(ids)
        for part in form['body']:
            assert part['type'] in {'textarea', 'input', 'dropdown', 'checkboxes'}
            assert part['attributes']['label']
            assert ('options' in part['attributes']) == (part['type'] in {'dropdown', 'checkboxes'})


def test_pages_that_the_templates_name_exist():
    for path in (ROOT / '.github').rglob('*'):
        if path.is_file():
            for page in re.findall(r'docs/\w+\.md', path.read_text()):
                assert (ROOT / page).is_file(), (path, page)


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
    assert done.stdout.count('umask 0022') == 5
