# Cityscapes -> ACDC, one condition: a model of its own for fog.
_base_ = './cityscapes_to_acdc.py'
task = dict(
    name='cityscapes_to_acdc_fog',
    title='Cityscapes -> ACDC (fog)',
    target_train=dict(conditions=['fog']),
    target_val=dict(conditions=['fog']),
)
