# CBST with a regulariser on the model; other ones by name, e.g.
# `crst_mrkld[regulariser=mrl2]`, `crst_mrkld[regulariser=mrent]`.
_base_ = './cbst.py'

card = dict(
    name='crst_mrkld',
    mechanisms=['pseudo-labels'],
    title='CRST-MRKLD (source-free reading)',
    reported='crst',
    reported_label='CRST-MRKLD',
    summary='CBST whose training step also minimises the divergence from the uniform.',
    paper='Zou et al., Confidence Regularized Self-Training, ICCV 2019',
    arxiv='1908.09822',
    deviations=[
        *_base_.card.deviations,
        'The weight acts twice, as in the released code: 0.1 is 0.01; weight_twice=False applies '
        'the formula of the paper.',
        'mrl2 and mrent have no public code: formulae of the paper, weights not published.',
    ],
)
_mrkld = dict(regulariser='mrkld', loss_weight=0.1, weight_twice=True)
rounds = dict(stages=dict(train=dict(adapter=dict(losses=dict(regulariser=_mrkld)))))
