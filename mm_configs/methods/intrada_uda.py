_base_ = './advent.py'

card = dict(
    name='intrada_uda',
    mechanisms=['adversarial', 'pseudo-labels'],
    title='IntraDA (as published)',
    reported='intrada',
    reported_label='IntraDA',
    summary='AdvEnt, then the target ranked by entropy and its hard images aligned to easy ones.',
    paper='Pan et al., Unsupervised Intra-domain Adaptation for Semantic Segmentation through '
    'Self-Supervision, CVPR 2020',
    arxiv='2004.07703',
    code='https://github.com/feipanir/IntraDA',
    deviations=[
        *_base_.card.deviations,
        'In short profiles the intra step goes on from the AdvEnt model; in the paper profile it '
        'starts again from the initial weights, as published (its author: little difference).',
    ],
)
_labels = 'stage://rank/artifacts/labels'
stages = [
    *_base_.stages,
    dict(
        name='rank',
        kind='label',
        batch_size=4,
        adapter=dict(type='ProbabilityPredictor', scale=1.0, flip=False, at='input'),
        writer=dict(type='EntropyRankWriter', easy_portion=0.67, normalisation='none'),
    ),
    dict(
        _base_.stages[0],
        name='intra',
        adapter=dict(
            _base_.stages[0]['adapter'],
            type='IntraDA',
            split='stage://rank/artifacts/split.json',
        ),
        data=dict(
            pair=dict(
                easy=dict(
                    type='target', labels=_labels, sample_list='stage://rank/artifacts/easy.txt'
                ),
                hard=dict(type='target', sample_list='stage://rank/artifacts/hard.txt'),
            )
        ),
    ),
]
_whole = [dict(type='PolyLR', power=0.9, eta_min=0.0, begin=0)]
_synthia = dict(iters=90000, param_scheduler=_whole)
profiles = dict(
    pocket=dict(
        intra=dict(
            iters=40,
            batch_size=2,
            optim_wrapper=dict(
                student=dict(
                    _delete_=True, type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4)
                )
            ),
            param_scheduler=_whole,
        )
    ),
    paper=dict(
        rank=dict(batch_size=1),
        intra=dict(init='initial', overrides=dict(synthia_to_cityscapes=_synthia)),
    ),
)
