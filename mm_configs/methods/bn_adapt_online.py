# Statistics that follow the stream; `momentum=1.0` takes those of the current image alone.
card = dict(
    name='bn_adapt_online',
    title='BN-adapt (online)',
    track='test-time',
    mechanisms=['statistics'],
    setting='online',
    fidelity='paper',
    summary='Batch-norm statistics that follow the stream; no gradient.',
    paper='Schneider et al., Improving Robustness against Common Corruptions by Covariate Shift '
    'Adaptation, NeurIPS 2020',
    arxiv='2006.16971',
    deviations=[
        'An exponential average over the stream (momentum 0.1, starting from the source); the '
        'paper mixes with the statistics of one batch and forgets them.',
        'Batches of one image.',
    ],
    choices=[
        "momentum=0 with norm_mode='train' is norm.py of Tent's authors: the batch alone "
        'normalises, while running statistics follow it unused.',
    ],
)
needs = ['batch_norm']
stages = [
    dict(
        name='stream',
        kind='stream',
        adapter=dict(type='BNAdaptOnline', momentum=0.1, reset_on='never'),
        rounds=1,
        batch_size=1,
        order=None,
    ),
]
