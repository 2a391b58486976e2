# Information maximisation, and labels by centroids that are renewed in rounds.
_base_ = './shot_im.py'

card = dict(
    name='shot',
    mechanisms=['entropy', 'pseudo-labels'],
    title='SHOT (dense reading)',
    reported_label='SHOT',
    summary='Information maximisation and labels by the nearest class centroid in feature space, '
    'renewed once an epoch; the classifier is frozen.',
    deviations=[
        *_base_.card.deviations,
        'A round is a stage of its own, so the momentum begins anew in each.',
    ],
    choices=[
        'Features are what the classifier reads. Centroids are exact, over all pixels of all '
        'training images: three passes a round (by probabilities, by the first labels, labels). '
        'Every pixel gets a label, as in the paper; none by confidence.',
        'Labels lie at the resolution of the features and are compared there.',
        'Weight of the labels 0.3 and 15 rounds of one epoch, as published.',
        *_base_.card.choices,
        'Short profiles: two rounds on the pocket suite, one on CamVid.',
    ],
)
stages = []
_predictor = dict(type='FeaturePredictor')
_train = {key: value for key, value in _base_.stages[0].items() if key != 'name'}
_losses = dict(
    _train['adapter']['losses'], label=dict(type='WeightedCrossEntropyLoss', loss_weight=0.3)
)
rounds = dict(
    count=15,
    stages=dict(
        soft=dict(
            kind='label',
            batch_size=4,
            adapter=_predictor,
            writer=dict(type='CentroidWriter', min_count=0),
        ),
        hard=dict(
            kind='label',
            batch_size=4,
            adapter=_predictor,
            writer=dict(
                type='CentroidWriter',
                centroids='stage://soft{round}/artifacts/centroids.npz',
                min_count=0,
            ),
        ),
        label=dict(
            kind='label',
            batch_size=4,
            adapter=_predictor,
            writer=dict(
                type='CentroidLabelWriter',
                centroids='stage://hard{round}/artifacts/centroids.npz',
                min_count=0,
            ),
        ),
        train=dict(
            _train,
            adapter=dict(_train['adapter'], losses=_losses),
            data=dict(type='target', labels='stage://label{round}/artifacts/labels'),
            iters=744,
            param_scheduler=[
                dict(type='InversePowerLR', gain=10.0, power=0.75, part='{round}', parts=15)
            ],
        ),
    ),
)
_short = dict(
    optim_wrapper=dict(_delete_=True, type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4)),
    param_scheduler=[],
)
_acdc = {'cityscapes_to_acdc': dict(iters=400), 'cityscapes_to_acdc_*': dict(iters=100)}
profiles = dict(
    _delete_=True,
    paper=dict(train=dict(overrides=_acdc)),
    pocket=dict(rounds=2, train=dict(_short, iters=30)),
    camvid=dict(rounds=1, train=dict(_short, iters=92)),
)
