# Cityscapes -> ACDC, one condition: a model of its own for snow.
_base_ = './cityscapes_to_acdc.py'
task = dict(
    name='cityscapes_to_acdc_snow',
    title='Cityscapes -> ACDC (snow)',
    target_train=dict(conditions=['snow']),
    target_val=dict(conditions=['snow']),
)
