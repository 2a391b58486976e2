# Cityscapes -> ACDC, one condition: a model of its own for rain.
_base_ = './cityscapes_to_acdc.py'
task = dict(
    name='cityscapes_to_acdc_rain',
    title='Cityscapes -> ACDC (rain)',
    target_train=dict(conditions=['rain']),
    target_val=dict(conditions=['rain']),
)
