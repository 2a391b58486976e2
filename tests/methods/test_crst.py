"""CRST's adapters: the weight that acts twice, soft labels, source images beside target ones."""

from __future__ import annotations

import json

import pytest
import torch

from sfda_bench.adapt.selection import soft_labels
from sfda_bench.errors import UnknownNameError
from sfda_bench.methods.self_training.losses import regularity_loss, soft_label_loss
from tests.methods.helpers import losses_of, plain


def training(**regulariser):
    """Self-training as CBST states it, with changes of the regulariser."""
    return plain('SelfTraining', losses=losses_of('cbst', regulariser=regulariser))


def views(name: str = 'image', labels: int = 3) -> dict:
    torch.manual_seed(1)
    found = torch.full((2, 32, 64), labels)
    found[:, :10] = 255
    return {name: torch.randn(2, 3, 32, 64), f'{name}_label': found}


def test_the_weight_acts_twice_as_in_the_code_or_once_as_in_the_paper():
    values = {}
    for twice in (True, False):
        adapter = training(regulariser='mrkld', loss_weight=0.1, weight_twice=twice).train()
        values[twice] = float(adapter.losses(views())['loss_mrkld'].detach())
    assert values[True] == pytest.approx(0.1 * values[False], rel=1e-5)


@pytest.mark.parametrize('kind', ['mrkld', 'mrl2', 'mrent'])
def test_only_target_images_are_regularised(kind):
    adapter = training(regulariser=kind, loss_weight=1.0).train()
    target = views('target')
    pair = {**views('source', labels=1), **target}
    losses = adapter.losses(pair)
    logits = adapter.logits(target['target'], (32, 64))
    expected = regularity_loss(logits, target['target_label'], kind)
    assert float(losses[f'loss_{kind}'].detach()) == pytest.approx(
        float(expected.detach()), rel=1e-4
    )


def test_batch_norm_and_dropout_stay_frozen():
    adapter = training().train()
    before = {k: v.clone() for k, v in adapter.state_dict().items() if 'running' in k}
    adapter.losses(views())
    assert all(torch.equal(value, adapter.state_dict()[key]) for key, value in before.items())


def test_a_batch_of_ignored_pixels_is_zero_not_nan():
    adapter = training(regulariser='mrkld', loss_weight=0.1).train()
    losses = adapter.losses(views(labels=255))
    total = sum(value for key, value in losses.items() if 'loss' in key)
    total.backward()
    assert float(total.detach()) == 0.0 and float(losses['labelled']) == 0.0
    assert all(torch.isfinite(p.grad).all() for p in adapter.parameters() if p.grad is not None)


@pytest.fixture
def soft(tmp_path):
    path = tmp_path / 'thresholds.json'
    path.write_text(json.dumps({'theta': [0.1] * 19}))
    losses = losses_of('crst_lrent')
    return plain('SoftSelfTraining', losses=losses, thresholds=str(path), alpha=0.25)


def test_a_plain_checkpoint_fills_student_and_labeller(soft):
    state = training().student.state_dict()
    soft.load_state_dict(state)
    for key, value in state.items():
        assert torch.equal(soft.state_dict()[f'student.{key}'], value)
        assert torch.equal(soft.state_dict()[f'labeller.{key}'], value)
    assert set(soft.export_module().state_dict()) == set(state)


def test_soft_labels_come_from_the_frozen_copy_and_skip_ignored_pixels(soft):
    soft.load_state_dict(soft.student.state_dict())
    soft.train()
    assert not soft.labeller.training and not any(
        p.requires_grad for p in soft.labeller.parameters()
    )
    batch = views()
    targets = soft.soft_targets(batch['image'], batch['image_label'], torch.ones(2))
    assert targets.shape == (2, 19, 32, 64)
    assert float(targets[:, :, :10].abs().sum()) == 0.0
    assert torch.allclose(targets[:, :, 10:].sum(dim=1), torch.ones(2, 22, 64), atol=1e-5)
    p = soft.logits(batch['image'], (32, 64)).softmax(dim=1).transpose(0, 1)
    expected, _ = soft_labels(p, torch.full((19,), 0.1), 0.25)
    assert torch.allclose(targets[:, :, 10:], expected.transpose(0, 1)[:, :, 10:], atol=1e-5)
    hard = soft.soft_targets(batch['image'], batch['image_label'], torch.zeros(2))
    assert bool((hard[:, 3, 10:] == 1).all()) and float(hard.sum()) == 2 * 22 * 64
    loss = soft.losses(batch)['loss_label']
    loss.backward()
    assert torch.isfinite(loss) and all(p.grad is None for p in soft.labeller.parameters())


def test_a_source_image_beside_a_target_image_keeps_its_labels(soft):
    soft.load_state_dict(soft.student.state_dict())
    batch = views()
    pair = {
        f'{name}{part}': batch[f'image{part}'][i : i + 1]
        for i, name in enumerate(('source', 'target'))
        for part in ('', '_label')
    }
    soft.eval()
    found = soft.losses(pair)['loss_label']
    hard = soft.soft_targets(pair['source'], pair['source_label'], torch.zeros(1))
    mild = soft.soft_targets(pair['target'], pair['target_label'], torch.ones(1))
    logits = soft.logits(torch.cat([pair['source'], pair['target']]), (32, 64))
    assert torch.allclose(found, soft_label_loss(logits, torch.cat([hard, mild])))
    assert not torch.allclose(found, soft_label_loss(logits, torch.cat([mild, hard])))


def test_an_unknown_regulariser_gets_a_hint():
    with pytest.raises(UnknownNameError, match='did you mean mrent'):
        training(regulariser='mrant')
