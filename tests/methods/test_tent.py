"""Tent and BN-adapt: how long their paper profiles run."""

import torch
from mmengine.registry import DefaultScope

from sfda_bench.plan import catalog
from sfda_bench.plan.method import Method
from sfda_bench.registry import MODELS


def test_passes_over_the_images_of_each_task():
    """Batches of four: one pass of BN-adapt, two of Tent."""
    for task, images in (
        ('gta5_to_cityscapes', 2975),
        ('cityscapes_to_acdc', 1600),
        ('cityscapes_to_acdc_snow', 400),
    ):
        one, two = (Method(m).stages('paper', task, {})[0]['iters'] for m in ('bn_adapt', 'tent'))
        assert (one, two) == (-(-images // 4), 2 * -(-images // 4))


def test_tent_trains_scale_and_shift_of_normalisation_layers_alone():
    """By its own default: the config does not repeat it."""
    (stage,) = Method('tent').stages('paper', 'gta5_to_cityscapes', {})
    model = catalog.load('networks', 'deeplabv2_pocket')['model']
    with DefaultScope.overwrite_default_scope('sfda_bench'):
        adapter = MODELS.build({**stage['adapter'], 'segmentor': model})
    trained = {n for n, p in adapter.student.named_parameters() if p.requires_grad}
    norms = {
        f'{name}.{part}'
        for name, module in adapter.student.named_modules()
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)
        for part in ('weight', 'bias')
    }
    assert trained == norms and len(norms) > 10
    assert adapter.norm_mode == 'train'
