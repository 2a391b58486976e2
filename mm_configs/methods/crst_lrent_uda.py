_base_ = './cbst_uda.py'

card = dict(
    name='crst_lrent_uda',
    mechanisms=['pseudo-labels'],
    title='CRST-LRENT (with source data)',
    reported='crst',
    reported_label='CRST-LRENT',
    summary='CBST beside source images, with soft pseudo-labels (p / theta)^(1 / alpha).',
    paper='Zou et al., Confidence Regularized Self-Training, ICCV 2019',
    arxiv='1908.09822',
    deviations=[
        *_base_.card.deviations,
        'The probabilities of the soft labels are stored as logarithms at the resolution of the '
        "network's head (float16, 1 MB an image instead of 160) and enlarged in the window of the "
        'training view.',
    ],
    choices=[
        *_base_.card.choices,
        'Soft labels are those of the whole image, as published; labels=view predicts them on the '
        "training view by a frozen copy of the round's first network.",
    ],
)
_thresholds = 'stage://threshold{round}/artifacts/thresholds.json'
_soft = 'stage://label{round}/artifacts/soft'
rounds = dict(
    stages=dict(
        threshold=dict(
            writer=dict(
                _delete_=True,  # without a prior
                type='ThresholdWriter',
                portion='{portion}',
                policy='class',
                stride=4,
            )
        ),
        label=dict(
            adapter=dict(type='SoftLabelPredictor'),
            writer=dict(_delete_=True, type='SoftLabelWriter', thresholds=_thresholds, alpha=0.25),
        ),
        train=dict(
            adapter=dict(
                type='LRENT',
                losses=dict(label=dict(type='SoftLabelLoss')),
                thresholds=_thresholds,
                alpha=0.25,
                labels='image',
            ),
            data=dict(pair=dict(target=dict(soft=_soft))),
        ),
    )
)
