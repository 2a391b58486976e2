# `ubna[scope=backbone]` leaves the head's statistics as they are, as the paper's network without
# batch norm in the decoder does.
card = dict(
    name='ubna',
    title='UBNA',
    reported='ubna',
    reported_label='UBNA',
    track='source-free',
    mechanisms=['statistics'],
    fidelity='paper',
    summary="The source's batch-norm statistics moved towards the target by 50 batches whose "
    'weight fades; no gradient.',
    paper='Klingner et al., Unsupervised BatchNorm Adaptation (UBNA): A Domain Adaptation Method '
    'for Semantic Segmentation Without Using Source Domain Representations, 2020',
    arxiv='2011.08502',
    code='https://github.com/ifnspaml/UBNA',
    deviations=[
        "The suite's network; the paper's is a VGG16 with batch norm and a decoder without.",
        "The target's training images; the code takes frames of the Cityscapes sequences.",
        "Whole images at the suite's size; the code takes the upper left 1024 x 320 of 1092 x 568, "
        'without most of the road, because its offsets of the crop are not used.',
        "Scored as all methods are; the paper's logits are enlarged by the nearest neighbour.",
    ],
    choices=[
        'All layers with running statistics, the count of layers going on into the head; '
        'scope="backbone" is the rule of the paper.',
        'The momentum fades by the number of the batch, so the size of the batch matters: 6 and 50 '
        'batches, as published, in every profile; in the short ones 50 batches of 4.',
    ],
)
needs = ['batch_norm']
stages = [
    dict(
        name='adapt',
        # Statistics are gathered in one process; there is no gradient to share.
        single_device=True,
        adapter=dict(type='UBNA'),
        hooks=dict(
            fading=dict(
                type='FadingMomentumHook',
                momentum=0.1,
                batch_decay=0.08,
                layer_decay=0.0,
                scope='all',
            )
        ),
        iters=50,
        batch_size=6,
        crop_size=None,
        flip=True,
        augment=[dict(type='ColourJitter', jitter=0.2, hue=0.1)],
        # mmengine's Runner wants an optimiser; the adapter never steps it.
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.0)),
    ),
]
profiles = dict(
    paper=dict(), pocket=dict(adapt=dict(batch_size=4)), camvid=dict(adapt=dict(batch_size=4))
)
search = dict(axes={'fading.momentum': 'log(0.3, 3)', 'batch_decay': 'log(0.3, 3)'})
