"""MaxSquare: cases M1 to M4 of the compact sheet, batches of several, and the adapters' wiring."""

import math

import pytest
import torch
from torch.nn.functional import interpolate

from sfda_bench.adapt.losses import label_loss
from sfda_bench.errors import BenchError
from sfda_bench.methods.maxsquare.losses import (
    HeadGuidanceLoss,
    ImageWeightedMaxSquareLoss,
    MaxSquareLoss,
    agreed_labels,
    image_weights,
)
from sfda_bench.plan.method import Method
from tests.methods.helpers import losses_of, plain


def maps(values: list) -> torch.Tensor:
    """Logits (1, C, H, W) in double precision."""
    return torch.tensor([values], dtype=torch.float64)


M1 = maps([[[2, 0.5], [1, -1]], [[0, 1.5], [0, 0]], [[-1, 0], [0, 2]]])
M3_B = maps([[[3, 2], [1, 2]], [[0, 0], [0, 0]], [[0, 0], [0, 1]]])
M3_C = maps([[[0, 0], [0, 0]], [[1, 2], [1, 1]], [[0, 3], [0, 0]]])
M4_MAIN = maps([[[4, 1], [0, 3]], [[0, 1.2], [0.5, 0]], [[0, 0], [0, 0]]])
M4_AUXILIARY = maps([[[0, 0], [5, 0]], [[1, 0], [0, 0]], [[0, 0.3], [0, 4.5]]])
PLAIN, WEIGHTED = MaxSquareLoss(), ImageWeightedMaxSquareLoss()


@pytest.mark.parametrize(
    ('loss', 'expected'),
    [
        (PLAIN, -0.097646837),
        (WEIGHTED, -0.241343031),
        (MaxSquareLoss('entropy'), 0.244151693),
        (ImageWeightedMaxSquareLoss(objective='entropy'), 0.300814679),
    ],
)
def test_case_m1_values(loss, expected):
    assert float(loss(M1)) == pytest.approx(expected, abs=1e-7)
    assert float(loss(M1.float())) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ('loss', 'expected'),
    [
        (PLAIN, (-0.008226984, 0.005829662, 0.002397321)),
        (WEIGHTED, (-0.018900647, 0.013393048, 0.005507599)),
    ],
)
def test_case_m1_gradients(loss, expected):
    logits = M1.clone().requires_grad_(True)
    loss(logits).backward()
    assert logits.grad[0, :, 0, 0].tolist() == pytest.approx(expected, abs=1e-8)
    p = M1.softmax(dim=1)
    if loss is PLAIN:  # -p_k (p_k - sum_c p_c^2) / (N C H W)
        wanted = -p * (p - p.square().sum(dim=1, keepdim=True)) / M1.numel()
        assert torch.allclose(logits.grad, wanted, atol=1e-12)


def test_case_m2_weights_by_the_size_of_the_class():
    sizes = {1: 0.329876978, 2: 0.287174589, 3: 0.264805960, 4: 0.25}
    for size, expected in sizes.items():
        labels = torch.tensor([[[0] * size + [1] * (4 - size)]])
        found = image_weights(labels, 3, 0.2, torch.float64)
        assert float(found[0, 0, 0]) == pytest.approx(expected, abs=1e-8)
    assert torch.equal(
        image_weights(torch.zeros(1, 2, 2).long(), 3, 0.0), torch.full((1, 2, 2), 0.25)
    )


def test_case_m3_a_batch_is_the_mean_of_its_images():
    singles = [float(WEIGHTED(x)) for x in (M1, M3_B, M3_C)]
    assert singles == pytest.approx((-0.241343031, -0.200459461, -0.173933755), abs=1e-7)
    # one class fills the image: twice the plain square
    assert singles[1] == pytest.approx(2 * float(PLAIN(M3_B)), abs=1e-12)
    batch = torch.cat([M1, M3_B, M3_C])
    assert float(WEIGHTED(batch)) == pytest.approx(-0.205245416, abs=1e-7)
    assert float(WEIGHTED(batch)) != pytest.approx(-0.208920892, abs=1e-4)  # as released
    pair = float(WEIGHTED(torch.cat([M1, M3_B])))  # where the released code raises
    assert pair == pytest.approx(sum(singles[:2]) / 2, abs=1e-12)


def test_case_m4_guidance():
    labels = agreed_labels(M4_MAIN, M4_AUXILIARY)
    assert labels.tolist() == [[[0, 255], [0, 2]]]
    guided = HeadGuidanceLoss()
    assert float(guided(M4_AUXILIARY, main=M4_MAIN)) == pytest.approx(0.528935128, abs=1e-8)
    terms = losses_of('maxsquare_multi_uda')
    weights = {name: terms[name]['loss_weight'] for name in ('square', 'guidance')}
    total = ImageWeightedMaxSquareLoss(loss_weight=weights['square'])(M4_MAIN)
    total += HeadGuidanceLoss(loss_weight=weights['guidance'])(M4_AUXILIARY, main=M4_MAIN)
    assert float(total) == pytest.approx(-0.016852205, abs=1e-7)
    assert terms['auxiliary']['loss_weight'] == 0.1


def test_guidance_trains_the_auxiliary_head_alone():
    main, auxiliary = (x.clone().requires_grad_(True) for x in (M4_MAIN, M4_AUXILIARY))
    HeadGuidanceLoss()(auxiliary, main=main).backward()
    assert main.grad is None and auxiliary.grad.abs().sum() > 0
    unsure = torch.zeros_like(M4_MAIN)
    assert float(HeadGuidanceLoss()(unsure, main=unsure)) == 0.0
    with pytest.raises(BenchError, match='main'):
        HeadGuidanceLoss()(auxiliary)


@pytest.mark.parametrize('loss', [PLAIN, WEIGHTED])
def test_pixels_may_be_weighted_and_a_soft_max_shared(loss):
    ones = torch.ones(1, 2, 2, dtype=torch.float64)
    whole = float(loss(M1))
    assert float(loss(M1, weight=ones)) == pytest.approx(whole, abs=1e-12)
    assert float(loss(M1, weight=0 * ones)) == 0.0
    shared = loss(M1, probabilities=M1.softmax(dim=1))
    assert float(shared) == pytest.approx(whole, abs=1e-12)


def test_a_head_can_be_trained_with_it():
    """As mmseg calls a loss: labels and their ignore index are given and not read."""
    labels = torch.full((1, 2, 2), 255)
    found = PLAIN(M1, labels, weight=None, ignore_index=255)
    assert float(found) == pytest.approx(-0.097646837, abs=1e-8)
    assert PLAIN.loss_name == 'loss_square'


def test_the_source_free_form_takes_the_loss_at_the_size_of_the_images():
    adapter = plain('MaxSquare', losses=losses_of('maxsquare_iw'), norm_mode='eval').train()
    torch.manual_seed(1)
    images = torch.randn(2, 3, 32, 64)
    (name, found), *rest = adapter.losses({'image': images}).items()
    assert name == 'loss_square' and not rest
    logits = adapter.logits(images)
    assert logits.shape[-2:] != images.shape[-2:]
    large = interpolate(logits, size=(32, 64), mode='bilinear', align_corners=True)
    assert float(found) == pytest.approx(0.1 * float(WEIGHTED(large)), abs=1e-6)


def test_the_published_form_on_a_network_of_two_heads():
    losses = losses_of('maxsquare_multi_uda')
    adapter = plain('MaxSquareUDA', auxiliary=True, losses=losses, norm_mode='eval').train()
    torch.manual_seed(1)
    views = {
        'source': torch.randn(2, 3, 32, 64),
        'source_label': torch.randint(19, (2, 32, 64)),
        'target': torch.randn(2, 3, 48, 96),
    }
    found = adapter.losses(views)
    assert set(found) == {'loss_seg', 'loss_auxiliary', 'loss_square', 'loss_guidance'}
    main, auxiliary = adapter.outputs(views['source'])
    labels = views['source_label']
    assert torch.allclose(found['loss_seg'], label_loss(main, labels))
    assert torch.allclose(found['loss_auxiliary'], 0.1 * label_loss(auxiliary, labels))
    sum(found.values()).backward()
    assert all(math.isfinite(float(value)) for value in found.values())
    assert adapter.auxiliary.conv2d_list[0].weight.grad.abs().sum() > 0


def test_a_network_of_one_head_leaves_the_auxiliary_losses_out():
    adapter = plain('MaxSquareUDA', losses=losses_of('maxsquare_multi_uda')).train()
    images = torch.randn(1, 3, 32, 64)
    views = {'source': images, 'source_label': torch.zeros(1, 32, 64).long(), 'target': images}
    assert set(adapter.losses(views)) == {'loss_seg', 'loss_square'}


def test_the_published_numbers():
    for name in ('maxsquare', 'maxsquare_iw', 'maxsquare_uda', 'maxsquare_iw_uda'):
        (stage,) = Method(name).stages('paper', 'gta5_to_cityscapes', {})
        assert stage['adapter']['losses']['square']['loss_weight'] == 0.1
        assert stage['iters'] == 5 * 2 * 2975
        assert stage['param_scheduler'][0]['end'] == 2976 * 10 + 1
    (stage,) = Method('maxsquare_multi_uda').stages('paper', 'gta5_to_cityscapes', {})
    assert stage['adapter']['losses']['square']['loss_weight'] == 0.09
    assert stage['data']['pair']['target']['input_size'] == (1280, 640)
