# `sar[variant=official]` does as the released code, slips and all.
card = dict(
    name='sar',
    title='SAR',
    track='test-time',
    mechanisms=['entropy'],
    setting='online',
    fidelity='reconstructed',
    summary='Entropy of certain pixels where it is greatest close by; scale and shift of '
    'normalisation layers before the last stage; back to the source when entropy gets too low.',
    paper='Niu et al., Towards Stable Test-Time Adaptation in Dynamic Wild World, ICLR 2023',
    arxiv='2302.12400',
    code='https://github.com/mr-eggplant/SAR',
    deviations=[
        'Dense form, ours: the paper classifies images; a sample is a pixel at the resolution of '
        'the head, the mean is over the certain pixels of one image.',
        'A return to the source forgets the average of the loss and the state of the optimiser, '
        'and an image without certain pixels takes no step. The released code writes the old '
        'average back (so that it returns again and again), keeps the momentum, and steps on it '
        'without pixels: variant=official.',
    ],
    choices=[
        "A return below 0.0853 nats: the paper's 0.2 is 2.9 % of ln 1000, this is that share of "
        'ln 19. Below 0.2 segmentation networks may be from the start (variant=official has 0.2).',
        'The rate is the published one of ResNets for batches of one image (1.5625e-5).',
        'Left out of training: the last stage of the backbone (ResNet layer4, MiT layers.3), by '
        "the paper's rule; networks that name it otherwise train all their norms.",
        'Pocket and CamVid profiles: Adam at the rate of the other methods there (1e-4), '
        'unsearched.',
    ],
)
stages = [
    dict(
        name='stream',
        kind='stream',
        adapter=dict(
            type='SAR',
            losses=dict(
                entropy=dict(type='CertainEntropyLoss', loss_weight=1.0, margin=0.4, weighted=False)
            ),
            radius=0.05,
            reset_below=0.0853,
            momentum=0.9,
            form='fixed',
            exclude=['backbone.layer4', 'backbone.layers.3'],
            predict='before',
            reset_on='never',
            steps=1,
            norm_mode='batch',
            trainable='norm_affine',
        ),
        rounds=1,
        batch_size=1,
        order=None,
        optim_wrapper=dict(
            type='OptimWrapper', optimizer=dict(type='SGD', lr=1.5625e-5, momentum=0.9)
        ),
    ),
]
_short = dict(
    stream=dict(
        optim_wrapper=dict(_delete_=True, type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4))
    )
)
profiles = dict(paper=dict(), pocket=_short, camvid=_short)
presets = dict(
    variant=dict(
        official={'adapter.form': 'official', 'adapter.reset_below': 0.2},
        fixed={'adapter.form': 'fixed', 'adapter.reset_below': 0.0853},
    )
)
search = dict(axes={'optimizer.lr': 'log(0.1, 10)', 'reset_below': 'log(0.3, 3)'})
