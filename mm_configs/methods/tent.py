card = dict(
    name='tent',
    title='Tent (offline)',
    track='source-free',
    mechanisms=['entropy', 'statistics'],
    fidelity='paper',
    summary='Entropy minimisation over the scale and shift of normalisation layers.',
    paper='Wang et al., Tent: Fully Test-Time Adaptation by Entropy Minimization, ICLR 2021',
    arxiv='2006.10726',
    code='https://github.com/DequanWang/tent',
    deviations=[
        'Offline: trained on the target training images and scored afterwards; the paper adapts '
        'online on the test stream.',
        'The running statistics are updated on the way and used for scoring.',
    ],
    choices=[
        'Adam at 1e-4, batches of four and two passes over the target training images are ours; '
        'the paper has no offline form.',
    ],
)
stages = [
    dict(
        name='adapt',
        adapter=dict(
            type='Tent',
            losses=dict(entropy=dict(type='PixelEntropyLoss', loss_weight=1.0)),
            dropout=False,
        ),
        iters=200,
        batch_size=4,
        crop_size=None,
        flip=True,
        optim_wrapper=dict(
            type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4, betas=(0.9, 0.999))
        ),
    ),
]
_acdc = {'cityscapes_to_acdc': dict(iters=800), 'cityscapes_to_acdc_*': dict(iters=200)}
profiles = dict(
    pocket=dict(adapt=dict(iters=60)),
    camvid=dict(adapt=dict(iters=184)),
    paper=dict(adapt=dict(iters=1488, overrides=_acdc)),
)
# A sweep's validators that are this method's own objective.
search = dict(optimises=['entropy'])
