# One confidence threshold for all classes: the control that CBST is measured against.
_base_ = './cbst.py'

card = dict(
    name='self_training',
    mechanisms=['pseudo-labels'],
    title='Self-training (ST)',
    reported='cbst',
    reported_label='ST',
    summary='Three rounds of self-training with one confidence threshold for all classes.',
    choices=[
        'Below its source on the pocket world (GTA5) with the statistics of the source: from '
        'recomputed ones (init=bn_adapt) 8.2 points more [5.8, 10.7] (suite ablate).',
        'Crops are uniform: a single threshold leaves no class sizes to mine by.',
        *_base_.card.choices[-4:-1],
        'Short profiles: as CBST.',
    ],
)

# the crops of CBST without their preference for rare classes
_uniform = dict(type='MinedCrop', crop_size=(512, 1024), stats=None, chance=0.0)
_small = dict(type='MinedCrop', crop_size=(600, 900), stats=None, chance=0.0)
_of_cbst = _base_.profiles.paper.train.overrides.synthia_to_cityscapes
rounds = dict(
    stages=dict(
        threshold=dict(writer=dict(policy='global')),
        train=dict(augment=[_base_.rounds.stages.train.augment[0], _uniform]),
    )
)
profiles = dict(
    paper=dict(
        train=dict(
            overrides=dict(synthia_to_cityscapes=dict(augment=[_of_cbst.augment[0], _small]))
        )
    )
)
