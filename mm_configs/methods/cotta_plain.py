# CoTTA without its views: what the averaged teacher and the restoration give by themselves.
_base_ = './cotta.py'
card = dict(
    name='cotta_plain',
    mechanisms=['mean teacher', 'pseudo-labels'],
    title='CoTTA (one view)',
    reported='',
    reported_label='',
    summary="An averaged teacher's hard labels from the plain view train all weights, some of "
    "which return to the source's at random.",
    deviations=[
        *_base_.card.deviations,
        'One view, which users run for its speed; the paper predicts and labels with 14. The '
        'source model then has nothing to decide.',
    ],
)
_stage = _base_.stages[0]
stages = [dict(_stage, adapter=dict(_stage['adapter'], scales=[1.0], flip=False))]
