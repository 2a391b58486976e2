# `cbna[scope=backbone]` mixes in the encoder alone, as the paper does.
card = dict(
    name='cbna',
    title='CBNA',
    track='test-time',
    mechanisms=['statistics'],
    setting='episodic',
    fidelity='paper',
    summary="The source's batch-norm statistics mixed with a fifth of each image's, in one forward "
    'pass; no gradient.',
    paper='Klingner, Ayache, Fingscheidt, Continual BatchNorm Adaptation (CBNA) for Semantic '
    'Segmentation, IEEE T-ITS 2022',
    arxiv='2203.01074',
    code='https://github.com/ifnspaml/CBNA',
    deviations=[
        "The suite's network; the paper's has a decoder without batch norm.",
        'A layer that sees a single value of a channel keeps its statistics.',
    ],
    choices=[
        'All layers with running statistics; scope="backbone" is the rule of the paper.',
        'Every image begins with the source, as the code does: in spite of the name nothing '
        'accumulates.',
    ],
)
needs = ['batch_norm']
stages = [
    dict(
        name='stream',
        kind='stream',
        adapter=dict(
            type='CBNA',
            momentum=0.2,
            scope='all',
            predict='before',
            reset_on='image',
            norm_mode='eval',
            trainable='none',
        ),
        rounds=1,
        batch_size=1,
        order=None,
    ),
]
profiles = dict(paper=dict(), pocket=dict(), camvid=dict())
search = dict(axes={'adapter.momentum': 'log(0.25, 4)'})
