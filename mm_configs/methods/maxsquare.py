# Without source data. `maxsquare[objective=entropy]` minimises the entropy at the same weight.
card = dict(
    name='maxsquare',
    title='MaxSquare (source-free reading)',
    reported='maxsquare',
    reported_label='MaxSquare',
    track='source-free',
    mechanisms=['entropy'],
    fidelity='reconstructed',
    summary='Squared probabilities of every pixel maximised: entropy minimisation whose gradient '
    'sure pixels do not rule.',
    paper='Chen et al., Domain Adaptation for Semantic Segmentation with Maximum Squares Loss, '
    'ICCV 2019',
    arxiv='1909.13589',
    code='https://github.com/ZJULearning/MaxSquareLoss',
    deviations=[
        'Our reading without source data: the loss as published, with its weight of 0.1 and '
        'division by the number of classes, is the only term, so the weight merely scales the '
        'rate, and nothing holds the classes that are seldom predicted. `maxsquare_uda` is the '
        'published form.',
        'The last iterate; the code keeps the best on the validation labels.',
    ],
    choices=[
        'All weights are trained; batch norm in training mode, its statistics follow the target.',
        'The loss at the size of the input, as in the code, whose network enlarges its logits.',
        'Optimiser, rate, schedule and augmentation as published: SGD 2.5e-4, heads tenfold, '
        'five rounds of two epochs at one image, poly 0.9 over 29 760 iterations, mirroring and '
        'blur. ACDC, which the paper does not have: ten epochs of its own.',
        'Backbone weights are stepped several times an iteration (paper profile), as the parameter '
        'list of this line of code does under a current PyTorch.',
        'Short profiles: Adam at 1e-4 with each weight listed once, no blur, few iterations, '
        'stated before anything was run.',
    ],
)
stages = [
    dict(
        name='adapt',
        adapter=dict(
            type='MaxSquare',
            losses=dict(square=dict(type='MaxSquareLoss', loss_weight=0.1, objective='square')),
            norm_mode='train',
        ),
        iters=29750,
        batch_size=1,
        crop_size=None,
        flip=True,
        augment=[dict(type='RandomBlur', prob=0.5, radius=(0.0, 1.0))],
        optim_wrapper=dict(
            type='OptimWrapper',
            constructor='RepeatOptimWrapperConstructor',
            optimizer=dict(type='SGD', lr=2.5e-4, momentum=0.9, weight_decay=5e-4),
            paramwise_cfg=dict(
                backbone_repeat=3,
                custom_keys=dict(decode_head=dict(lr_mult=10.0), auxiliary_head=dict(lr_mult=10.0)),
            ),
        ),
        # 2976 * 10 iterations, of which 2975 * 10 are taken
        param_scheduler=[dict(type='PolyLR', power=0.9, eta_min=0.0, begin=0, end=29761)],
    ),
]
_whole = [dict(type='PolyLR', power=0.9, eta_min=0.0, begin=0)]
_acdc = {
    'cityscapes_to_acdc': dict(iters=16000, param_scheduler=_whole),
    'cityscapes_to_acdc_*': dict(iters=4000, param_scheduler=_whole),
}
_short = dict(
    batch_size=4,
    augment=[],
    optim_wrapper=dict(_delete_=True, type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4)),
    param_scheduler=[],
)
profiles = dict(
    paper=dict(adapt=dict(overrides=_acdc)),
    pocket=dict(adapt=dict(_short, iters=60)),
    camvid=dict(adapt=dict(_short, iters=92)),
)
