# `ubna_online[layer_decay=0.03]` is UBNA+ on the stream, `[predict=before]` scores each image with
# the statistics that it finds.
card = dict(
    name='ubna_online',
    title='UBNA (online)',
    track='test-time',
    mechanisms=['statistics'],
    setting='online',
    fidelity='reconstructed',
    summary="The source's batch-norm statistics moved by each image of the stream, by a share that "
    'fades; no gradient.',
    paper='Klingner et al., Unsupervised BatchNorm Adaptation (UBNA): A Domain Adaptation Method '
    'for Semantic Segmentation Without Using Source Domain Representations, 2020',
    arxiv='2011.08502',
    code='https://github.com/ifnspaml/UBNA',
    deviations=[
        'The abstract names an online form without its details, and the code is offline: order '
        'and batches of one image are ours.',
        "The suite's network; the paper's has a decoder without batch norm.",
        'Images of the stream as they are: no augmentation.',
    ],
    choices=[
        'Constants of the offline form: 0.1, a decay of 0.08 an image, so that after some 50 '
        'images nothing moves any more, whatever comes.',
        'An image is predicted with the statistics that it leaves, in a second forward pass.',
        'All layers with running statistics; scope="backbone" is the rule of the paper.',
    ],
)
needs = ['batch_norm']
stages = [
    dict(
        name='stream',
        kind='stream',
        adapter=dict(
            type='UBNAOnline',
            momentum=0.1,
            batch_decay=0.08,
            layer_decay=0.0,
            scope='all',
            predict='after',
            reset_on='never',
            norm_mode='eval',
            trainable='none',
        ),
        rounds=1,
        batch_size=1,
        order=None,
    ),
]
profiles = dict(paper=dict(), pocket=dict(), camvid=dict())
search = dict(axes={'adapter.momentum': 'log(0.3, 3)', 'batch_decay': 'log(0.3, 3)'})
