_base_ = './cbst_uda.py'

card = dict(
    name='crst_mrkld_uda',
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
_mrkld = dict(regulariser='mrkld', regulariser_weight=0.1, weight_twice=True)
stages = []
for _stage in _base_.stages:
    if _stage['name'].startswith('train'):
        _stage = dict(_stage, adapter=dict(_stage['adapter'], **_mrkld))
    stages.append(_stage)
