# One confidence threshold for all classes: the control that CBST is measured against.
_base_ = './cbst.py'

card = dict(
    name='self_training',
    title='Self-training (ST)',
    reported='cbst',
    reported_label='ST',
    summary='Three rounds of self-training with one confidence threshold for all classes.',
    choices=['Short profiles: as CBST.'],
)
stages = []
for _stage in _base_.stages:
    if _stage['name'].startswith('threshold'):
        _stage = dict(_stage, writer=dict(_stage['writer'], policy='global'))
    stages.append(_stage)
