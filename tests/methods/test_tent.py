"""Tent and BN-adapt: how long their paper profiles run."""

from sfda_bench.suite.method import Method


def test_passes_over_the_images_of_each_task():
    """Batches of four: one pass of BN-adapt, two of Tent."""
    for task, images in (
        ('gta5_to_cityscapes', 2975),
        ('cityscapes_to_acdc', 1600),
        ('cityscapes_to_acdc_snow', 400),
    ):
        one, two = (Method(m).stages('paper', task, {})[0]['iters'] for m in ('bn_adapt', 'tent'))
        assert (one, two) == (-(-images // 4), 2 * -(-images // 4))
