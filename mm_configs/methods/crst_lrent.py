# CBST with soft labels: the entropy of the label is the regulariser.
_base_ = './cbst.py'

card = dict(
    name='crst_lrent',
    title='CRST-LRENT (source-free reading)',
    reported='crst',
    reported_label='CRST-LRENT',
    summary='CBST with soft pseudo-labels (p / theta)^(1 / alpha).',
    paper='Zou et al., Confidence Regularized Self-Training, ICCV 2019',
    arxiv='1908.09822',
    deviations=[
        *_base_.card.deviations,
        "Soft labels are predicted on the training view by a frozen copy of the round's first "
        'network; which pixels are kept is decided on the whole image, as published.',
    ],
)


def _soft(stage):
    """The LRENT form of a stage of CBST."""
    name = stage['name']
    if name.startswith('label'):
        return dict(stage, writer=dict(stage['writer'], rule='lrent', alpha=0.25))
    if not name.startswith('train'):
        return stage
    thresholds = f'stage://threshold{name[-1]}/artifacts/thresholds.json'
    adapter = dict(type='SoftSelfTraining', thresholds=thresholds, alpha=0.25)
    return dict(stage, adapter=dict(stage['adapter'], **{**adapter}))


stages = []
for _stage in _base_.stages:
    stages.append(_soft(_stage))
