"""Mixed and broken environments are named before anything of MMSegmentation is imported."""

import subprocess
import sys
from pathlib import Path

import pytest

from sfda_bench.environment import check_environment
from sfda_bench.errors import BenchError

ROOT = Path(__file__).parents[1]
WHOLE = {
    'onedl-mmengine': ('0.10.12', 'mmengine/runner/runner.py'),
    'onedl-mmcv': ('2.3.6', 'mmcv/transforms/loading.py'),
    'onedl-mmsegmentation': ('1.4.2', 'mmseg/models/segmentors/encoder_decoder.py'),
}


def install(folder: Path, packages: dict[str, tuple[str, str]]) -> None:
    """What pip leaves of packages: their metadata, and one file."""
    for name, (version, file) in packages.items():
        about = folder / f'{name.replace("-", "_")}-{version}.dist-info'
        about.mkdir(parents=True)
        text = f'Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n'
        (about / 'METADATA').write_text(text, encoding='utf-8')
        if file:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).touch()


def checked(monkeypatch: pytest.MonkeyPatch, folder: Path) -> str:
    """The message in an environment that holds ``folder`` alone; '' if there is none."""
    monkeypatch.setattr(sys, 'path', [str(folder)])
    try:
        check_environment()
    except BenchError as error:
        return str(error)
    return ''


def test_ours_is_whole():
    check_environment()


@pytest.mark.parametrize(
    ('change', 'told'),
    [
        ({}, ''),
        (
            {'mmsegmentation': ('1.2.2', '')},
            'mmsegmentation 1.2.2 and onedl-mmsegmentation 1.4.2 in one environment',
        ),
        ({'mmcv-lite': ('2.1.0', '')}, 'mmcv-lite 2.1.0 and onedl-mmcv 2.3.6 in one environment'),
        ({'onedl-mmcv': None, 'mmcv': ('2.1.0', '')}, 'mmcv 2.1.0, the original'),
        ({'onedl-mmengine': None}, 'onedl-mmengine is not installed'),
        (
            {'onedl-mmsegmentation': ('1.4.2', 'mmseg/datasets/ade.py')},
            'onedl-mmsegmentation 1.4.2 without its mmseg/models/segmentors/encoder_decoder.py',
        ),
    ],
)
def test_what_is_mixed_or_broken_is_named(monkeypatch, tmp_path, change, told):
    packages = {name: found for name, found in {**WHOLE, **change}.items() if found}
    install(tmp_path, packages)
    message = checked(monkeypatch, tmp_path)
    assert message.startswith(told) if told else not message
    assert not told or 'fresh environment' in message


def test_a_plan_says_so_in_one_line(tmp_path):
    install(tmp_path, {'mmsegmentation': ('1.2.2', '')})
    code = f'import sys; sys.path.insert(0, {str(tmp_path)!r})\n'
    code += 'from sfda_bench.cli.main import main; sys.exit(main(["plan", "--method", "tent"]))'
    done = subprocess.run(
        [sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and 'Traceback' not in done.stderr
    assert 'mmsegmentation 1.2.2 and onedl-mmsegmentation' in done.stderr.splitlines()[0]
