card = dict(
    name='shot_im',
    title='SHOT-IM (dense reading)',
    track='source-free',
    mechanisms=['entropy'],
    fidelity='reconstructed',
    summary='Information maximisation: every pixel sure, all pixels of a batch together diverse; '
    'the classifier is frozen.',
    paper='Liang et al., Do We Really Need to Access the Source Data? Source Hypothesis Transfer '
    'for Unsupervised Domain Adaptation, ICML 2020',
    arxiv='2002.08546',
    code='https://github.com/tim-learn/SHOT',
    deviations=[
        'The paper classifies images and has no segmentation recipe: a sample is a pixel at the '
        "head's resolution, the mean prediction that of all pixels of a batch.",
        'Source models are those of all methods: trained without label smoothing, their classifier '
        'without weight norm, no bottleneck.',
    ],
    choices=[
        "The classifier is the head's last convolution; where a head has none besides (DeepLabV2) "
        'it is the whole head, and the backbone alone is trained.',
        'Diversity at its published weight of 1. Street scenes are not balanced: it pulls the '
        'mean prediction towards equal shares and can invent rare classes; '
        '`shot_im[diversity.loss_weight=0.3]` weakens it.',
        "Rate 1e-3, the paper's from synthetic to real images (VisDA), the backbone's a tenth; "
        'Nesterov momentum 0.9, weight decay 1e-3, (1 + 10 t / T)^-0.75; 15 epochs at four images '
        'instead of 64. No dropout, which the networks of the paper do not have.',
        'Short profiles: Adam at 1e-4 for all that is trained, a constant rate, few iterations, '
        'stated before anything was run.',
    ],
)
stages = [
    dict(
        name='adapt',
        # the mean prediction is that of one device's batch
        single_device=True,
        adapter=dict(
            type='SHOT',
            losses=dict(
                entropy=dict(type='OffsetEntropyLoss', loss_weight=1.0),
                diversity=dict(type='BatchDiversityLoss', loss_weight=1.0),
            ),
            norm_mode='train',
            dropout=False,
        ),
        iters=15 * 744,
        batch_size=4,
        crop_size=None,
        flip=True,
        optim_wrapper=dict(
            type='OptimWrapper',
            optimizer=dict(type='SGD', lr=1e-3, momentum=0.9, nesterov=True, weight_decay=1e-3),
            paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.1))),
        ),
        param_scheduler=[dict(type='InversePowerLR', gain=10.0, power=0.75)],
    ),
]
_short = dict(
    optim_wrapper=dict(_delete_=True, type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4)),
    param_scheduler=[],
)
# one epoch is 744 iterations on Cityscapes, 400 on ACDC, 100 on one of its conditions
_acdc = {'cityscapes_to_acdc': dict(iters=15 * 400), 'cityscapes_to_acdc_*': dict(iters=15 * 100)}
profiles = dict(
    paper=dict(adapt=dict(overrides=_acdc)),
    pocket=dict(adapt=dict(_short, iters=60)),
    camvid=dict(adapt=dict(_short, iters=92)),
)
# A sweep's validators that are this method's own objective.
search = dict(
    axes={'lr': 'log(0.1, 10)', 'diversity.loss_weight': 'log(0.1, 1)'}, optimises=['entropy']
)
