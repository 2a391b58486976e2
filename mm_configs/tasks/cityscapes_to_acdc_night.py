# Cityscapes -> ACDC, one condition: a model of its own for night.
_base_ = './cityscapes_to_acdc.py'
task = dict(
    name='cityscapes_to_acdc_night',
    title='Cityscapes -> ACDC (night)',
    target_train=dict(conditions=['night']),
    target_val=dict(conditions=['night']),
)
