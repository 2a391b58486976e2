_base_ = './cbst_uda.py'

card = dict(
    name='crst_lrent_uda',
    title='CRST-LRENT (with source data)',
    reported='crst',
    reported_label='CRST-LRENT',
    summary='CBST beside source images, with soft pseudo-labels (p / theta)^(1 / alpha).',
    paper='Zou et al., Confidence Regularized Self-Training, ICCV 2019',
    arxiv='1908.09822',
    deviations=[
        *_base_.card.deviations,
        "Soft labels are predicted on the training view by a frozen copy of the round's first "
        'network; which pixels are kept is decided on the whole image, as published.',
    ],
)
stages = []
for _stage in _base_.stages:
    # no spatial prior: the soft labels are made on a crop, which has lost its place in the image
    if 'writer' in _stage:
        _stage = dict(_stage, writer={k: v for k, v in _stage['writer'].items() if k != 'prior'})
    if _stage['name'].startswith('label'):
        _stage = dict(_stage, writer=dict(_stage['writer'], rule='lrent', alpha=0.25))
    if _stage['name'].startswith('train'):
        _number = _stage['name'][-1]
        _soft = dict(
            type='SoftSelfTraining',
            thresholds=f'stage://threshold{_number}/artifacts/thresholds.json',
            alpha=0.25,
        )
        _stage = dict(_stage, adapter=dict(_stage['adapter'], **_soft))
    stages.append(_stage)
