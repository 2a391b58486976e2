# Both readings of two flags of the code: `urma[variant=released]`, `trained_classifier`,
# `padding_as_road`; labels anew after each epoch: `urma[rounds=2,iters=1488]`.
card = dict(
    name='urma',
    title='URMA',
    reported_label='URMA',
    track='source-free',
    mechanisms=['pseudo-labels', 'entropy'],
    fidelity='reconstructed',
    summary='Class-balanced pseudo-labels, entropy, and the disagreement of four decoders behind '
    'dropout with the main one.',
    paper='S and Fleuret, Uncertainty Reduction for Model Adaptation in Semantic Segmentation, '
    'CVPR 2021',
    code='https://github.com/idiap/model-uncertainty-for-adaptation',
    deviations=[
        'The recipe is partly ours: the text of the paper was not at hand and only the program '
        'from Cityscapes to NTHU is released; the other tasks run with its settings.',
        'The main head is frozen, as the name and help of the released flag say; the flag itself '
        'only keeps the rate of the head from being scheduled: `variant=trained_classifier`.',
        'Padding of small views is ignored by all losses; released, it is trained as road and '
        'is a fifth of all pixels: `variant=padding_as_road`.',
        'Thresholds come from histograms and lie at most 6.1e-5 below the sorted ones.',
        'L_ce of a batch without labels is 0, not 0/0.',
        'The very first step of a repeated parameter starts from separate momentum buffers, as '
        'in current PyTorch.',
    ],
    choices=[
        'One round of two epochs, as released; the authors also say that labels are made anew '
        'after each epoch: `urma[rounds=2,iters=1488]`.',
        'Labels from the mean of both mirrorings at 1024 x 512; portion 0.20, and 0.25 in a second '
        'round; every tenth pixel of a class counts, over a batch of twelve.',
        'Two of the four branches of the head, in the network and the decoders, as released.',
        'The backbone is stepped three times an iteration (projections four, the stem once), as '
        "the code's parameter list does.",
        "Rates are constant: the released schedule's power is 0. The diversity term, whose weight "
        'is 0, is not computed, and rare classes are not mined, as released.',
        "Dropout of the network's own heads is off, in the decoders too.",
        'ACDC, which the paper does not have: labels at 960 x 540, else the same; two '
        'epochs of its own images.',
        'Short profiles: Adam at 1e-4, decoders tenfold as published; whole images, no scaling; '
        'stated before anything was run.',
    ],
)

_predictor = dict(type='ProbabilityPredictor', scale=1.0, flip=True, at='input')
rounds = dict(
    count=2,
    values=dict(portion=[0.20, 0.20 + 0.05]),
    stages=dict(
        threshold=dict(
            kind='label',
            batch_size=4,
            input_size=None,
            adapter=_predictor,
            writer=dict(
                type='BatchThresholdWriter', portion='{portion}', policy='class', stride=10
            ),
        ),
        label=dict(
            kind='label',
            batch_size=4,
            input_size=None,
            adapter=_predictor,
            writer=dict(
                type='PseudoLabelWriter',
                thresholds='stage://threshold{round}/artifacts/thresholds.json',
                rule='hard',
                ties='keep',
            ),
        ),
        train=dict(
            adapter=dict(
                type='URMA',
                losses=dict(
                    label=dict(type='PseudoLabelLoss', loss_weight=1.0),
                    entropy=dict(type='NormalisedEntropyLoss', loss_weight=1.0),
                    uncertainty=dict(type='DecoderDisagreementLoss', loss_weight=0.1),
                ),
                decoders=4,
                decoder_dropout=0.5,
                freeze_classifier=True,
                pad_label=255,
                norm_affine=True,
                norm_mode='train',
                dropout=False,
            ),
            data=dict(type='target', labels='stage://label{round}/artifacts/labels'),
            input_size=None,
            iters=2976,
            batch_size=2,
            crop_size=None,
            flip=True,
            augment=[
                dict(type='RandomShortSide', low=256, high=768),
                dict(type='MarkedCrop', crop_size=(512, 1024)),
            ],
            optim_wrapper=dict(
                type='OptimWrapper',
                constructor='RepeatOptimWrapperConstructor',
                optimizer=dict(type='SGD', lr=5e-5, momentum=0.9, weight_decay=5e-4),
                paramwise_cfg=dict(
                    backbone_repeat=3,
                    custom_keys=dict(decode_head=dict(lr_mult=10.0), decoders=dict(lr_mult=10.0)),
                ),
            ),
        ),
    ),
)

_adam = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='Adam', lr=1e-4),
    paramwise_cfg=dict(custom_keys=dict(decoders=dict(lr_mult=10.0))),
)
_pass = dict(
    batch_size=12,
    input_size=(1024, 512),
    overrides={'cityscapes_to_acdc*': dict(input_size=(960, 540))},
)
# MaxSquareLoss's network, whose head sums two branches
networks = dict(paper=['deeplabv2_r101_2branch'])
profiles = dict(
    paper=dict(
        rounds=1,
        threshold=_pass,
        label=_pass,
        train=dict(
            overrides=dict(
                cityscapes_to_acdc=dict(iters=1600),
                **{'cityscapes_to_acdc_*': dict(iters=400)},
            )
        ),
    ),
    pocket=dict(rounds=1, train=dict(iters=60, batch_size=4, augment=[], optim_wrapper=_adam)),
    camvid=dict(rounds=1, train=dict(iters=40, batch_size=4, augment=[], optim_wrapper=_adam)),
)
presets = dict(
    variant=dict(
        intended={'adapter.freeze_classifier': True, 'adapter.pad_label': 255},
        trained_classifier={'adapter.freeze_classifier': False, 'adapter.pad_label': 255},
        padding_as_road={'adapter.freeze_classifier': True, 'adapter.pad_label': 0},
        released={'adapter.freeze_classifier': False, 'adapter.pad_label': 0},
    )
)
# A sweep's validators that are this method's own objective.
search = dict(
    axes={'optimizer.lr': 'log(0.1, 10)', 'entropy.loss_weight': 'log(0.1, 10)'},
    optimises=['entropy'],
)
