"""Losses and hooks of ours in a stock MMSegmentation config: the one on the page docs/mmseg.md."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmseg.registry import MODELS

from tests.documents import ROOT, blocks

PAGE = ROOT / 'docs' / 'mmseg.md'


def config_of(data_root: Path, folder: Path, iters: int) -> Config:
    """The page's config on the tiny world."""
    (block,) = [found for found in blocks(PAGE) if found.title]
    config = Config.fromstring(block.text, '.py')
    config.train_dataloader.dataset.data_root = str(data_root / 'acdc')
    config.work_dir, config.train_cfg.max_iters = str(folder), iters
    config.log_level = 'WARNING'
    config.experiment_name = f'{folder.name}_{iters}'
    return config


def trained(config: Config) -> Runner:
    runner = Runner.from_cfg(config)
    assert type(runner) is Runner
    runner.train()
    return runner


def saved(folder: Path, iteration: int) -> dict:
    return torch.load(folder / f'iter_{iteration}.pth', weights_only=False)


@pytest.fixture(scope='module')
def whole(pocket_root, tmp_path_factory):
    """Four iterations in one go."""
    folder = tmp_path_factory.mktemp('whole')
    return trained(config_of(pocket_root, folder, 4)), folder


def test_it_trains_with_two_losses_of_ours_in_a_stock_head(whole):
    runner, _ = whole
    found = [type(loss).__module__ for loss in runner.model.decode_head.loss_decode]
    assert len(found) == 2 and all(name.startswith('sfda_bench.') for name in found)
    assert type(runner.model).__module__.startswith('mmseg.')
    scalars = runner.message_hub.log_scalars
    names = [loss.loss_name for loss in runner.model.decode_head.loss_decode]
    values = [scalars[f'train/decode.{name}'].data[0] for name in names]
    total = scalars['train/loss'].data[0]
    assert all(len(value) == 4 and (value > 0).all() for value in values)
    assert total == pytest.approx(sum(values), rel=1e-6)


def test_the_losses_are_what_their_formulas_say(pocket_root, tmp_path):
    """Cross-entropy over all pixels, and 0.1 of the mean entropy."""
    config = config_of(pocket_root, tmp_path, 4)
    with DefaultScope.overwrite_default_scope('mmseg'):
        weighted, entropy = (MODELS.build(cfg) for cfg in config.model.decode_head.loss_decode)
    logits = torch.randn(2, 19, 6, 8, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(96).view(2, 6, 8) % 20
    labels[labels == 19] = 255
    log_p = logits.log_softmax(dim=1)
    picked = log_p.gather(1, labels.clamp(max=18).unsqueeze(1))[:, 0]
    expected = -(picked * (labels != 255)).mean()
    assert float(weighted(logits, labels, ignore_index=255)) == pytest.approx(float(expected))
    expected = -0.1 * (log_p.exp() * log_p).sum(dim=1).mean()
    value = entropy(logits, labels, weight=None, ignore_index=255)
    assert float(value) == pytest.approx(float(expected), rel=1e-5)


def test_the_teacher_is_the_average_of_the_students(pocket_root, tmp_path):
    """0.99 of the old and 0.01 of the new before each iteration but the first."""
    config = config_of(pocket_root, tmp_path, 4)
    config.default_hooks.checkpoint.interval = 1
    trained(config)
    first, second = saved(tmp_path, 1), saved(tmp_path, 2)
    name = 'backbone.layer1.0.conv1.weight'
    student, teacher = first['state_dict'][name], first['teacher_state_dict'][name]
    expected = 0.99 * teacher + 0.01 * student
    torch.testing.assert_close(second['teacher_state_dict'][name], expected)
    assert not torch.equal(second['teacher_state_dict'][name], second['state_dict'][name])


def test_a_resumed_run_continues_the_teacher_bit_by_bit(whole, pocket_root, tmp_path):
    trained(config_of(pocket_root, tmp_path, 2))
    config = config_of(pocket_root, tmp_path, 4)
    config.resume = True
    runner = trained(config)
    assert runner.iter == 4
    for part in ('teacher_state_dict', 'state_dict'):
        ours, theirs = saved(tmp_path, 4)[part], saved(whole[1], 4)[part]
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours), part


def test_the_prefix_is_enough_in_a_fresh_process(tmp_path):
    """Neither an import nor a scope of ours."""
    code = (
        'from mmengine.registry import DefaultScope\nimport mmseg.models\n'
        'from mmseg.registry import HOOKS, MODELS\n'
        'with DefaultScope.overwrite_default_scope("mmseg"):\n'
        '    print(type(MODELS.build(dict(type="sfda_bench.WeightedCrossEntropyLoss"))).__name__)\n'
        '    print(type(HOOKS.build(dict(type="sfda_bench.MeanTeacherHook"))).__name__)\n'
    )
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-2:] == ['WeightedCrossEntropyLoss', 'MeanTeacherHook']
