# ATP's stages after a first one that learns from the source model's predictions alone: the vendor
# labels the target's training images, everything after that starts without the source's weights.
_base_ = './atp.py'
card = dict(
    name='atp_blackbox',
    title='ATP (black box)',
    track='black-box',
    mechanisms=['entropy', 'pseudo-labels', 'mean teacher', 'contrast'],
    fidelity='reconstructed',
    summary='Distil the predictions of the source model into a new network, then align, teach, '
    'propagate.',
    deviations=[
        'The paper has a black-box extension by distillation; its text was not at hand and the '
        'released code has no such branch. The distilling stage is ours.',
        'ATP after it is that of `atp`, with its deviations.',
        'The new network starts from the ImageNet-type weights of its architecture; the small '
        'networks of the pocket and CamVid suites have none and start at random.',
    ],
    choices=[
        'Visible of the source model: the top label of each pixel and its probability, once for '
        'each training image, at the size of the file.',
        'Distillation: cross-entropy with that probability for the label and the rest shared by '
        'the other classes (adaptive label smoothing as in DINE), on strong views, every pixel.',
        'No refreshed targets and no mixing while distilling; the vendor is asked once.',
        'The new network is of the same architecture as the source model.',
        'Distilling takes the optimiser, schedule, 40 000 iterations and batches of two of the '
        'later stages, on random 640 x 640 crops, on ACDC too.',
        'Pocket and CamVid profiles: few iterations, so that the whole chain takes seconds; the '
        'new network is far from trained. Views, batch and number of distilling iterations were '
        'tried in four combinations on cityscapes_to_acdc (9.4 to 10.6 mIoU), then the iterations '
        'of one of them doubled; the rate was not tried.',
    ],
)
_vendor = 'stage://vendor/artifacts'
_align = _base_.stages[0]
stages = [
    dict(
        name='vendor',
        kind='label',
        vendor=True,
        init='source',
        adapter=dict(type='ProbabilityPredictor', scale=1.0, flip=False),
        writer=dict(type='PredictionWriter'),
        input_size=_align['input_size'],
        overrides=_base_.stages[2]['overrides'],
    ),
    dict(
        name='distil',
        init='initial',
        adapter=dict(
            type='ATPDistil',
            losses=dict(distil=dict(type='DistillationLoss', loss_weight=1.0)),
            norm_mode='train',
            strong=dict(),
        ),
        data=dict(type='target', labels=f'{_vendor}/labels', confidence=f'{_vendor}/confidence'),
        iters=_align['iters'],
        batch_size=_align['batch_size'],
        input_size=_align['input_size'],
        crop_size=_align['crop_size'],
        flip=True,
        optim_wrapper=_align['optim_wrapper'],
        param_scheduler=_align['param_scheduler'],
        overrides=_base_.stages[2]['overrides'],
    ),
    *_base_.stages,
]
_optim = dict(
    _delete_=True, type='OptimWrapper', optimizer=dict(type='Adam', lr=5e-3, weight_decay=1e-4)
)
_poly = [dict(type='PolyLR', power=0.9, eta_min=0.0, begin=0)]


# Short profiles: fewer iterations of all stages; distilling without change of colour.
_vendor_short = dict(input_size=None, batch_size=4, overrides=dict(_delete_=True))
_distil_short = dict(
    input_size=None,
    adapter=dict(strong=dict(jitter_probability=0.0, blur_probability=0.0)),
    batch_size=2,
    iters=240,
    optim_wrapper=_optim,
    param_scheduler=_poly,
    overrides=dict(_delete_=True),
)
profiles = dict(
    pocket=dict(
        vendor=_vendor_short,
        distil=dict(crop_size=None, **_distil_short),
        align=dict(iters=6),
        teach=dict(iters=8),
        propagate=dict(iters=6),
    ),
    camvid=dict(
        vendor=_vendor_short,
        distil=dict(crop_size=(180, 240), **_distil_short),
        align=dict(iters=10),
        teach=dict(iters=10),
        propagate=dict(iters=6),
    ),
)
