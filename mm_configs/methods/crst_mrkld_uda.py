_base_ = './cbst_uda.py'

card = dict(
    name='crst_mrkld_uda',
    mechanisms=['pseudo-labels'],
    title='CRST-MRKLD (with source data)',
    reported='crst',
    reported_label='CRST-MRKLD',
    summary='CBST beside source images; target pixels also pulled towards the uniform.',
    paper='Zou et al., Confidence Regularized Self-Training, ICCV 2019',
    arxiv='1908.09822',
    deviations=[
        *_base_.card.deviations,
        'The weight acts twice, as in the released code: 0.1 is 0.01.',
    ],
)
_mrkld = dict(regulariser='mrkld', loss_weight=0.1, weight_twice=True)
rounds = dict(stages=dict(train=dict(adapter=dict(losses=dict(regulariser=_mrkld)))))
