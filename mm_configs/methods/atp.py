# Parameters are the code's; what abstract and figure say beyond it is set by hand:
# `atp[teach.positive_threshold=0.9,teach.negatives_on=uncertain]`, `atp[freeze_classifier=true]`,
# `atp[curriculum_detach=true]`. The bugs of the code: `augment_twice`, `replicate_inplace_bug`,
# `replicate_train_mode`. On ACDC with the class prior: `atp[class_prior_rescale=true]`.
card = dict(
    name='atp',
    title='ATP',
    track='source-free',
    mechanisms=['entropy', 'pseudo-labels', 'mean teacher', 'contrast'],
    fidelity='official',
    summary='Align (curriculum entropy), teach (positive and negative labels), propagate (from '
    'easy to hard images).',
    paper='Wang et al., A Curriculum-style Self-training Approach for Source-Free Semantic '
    'Segmentation, IEEE TPAMI 2024',
    arxiv='2106.11653',
    code='https://github.com/yxiwang/ATP',
    deviations=[
        'Follows the released code, which has no threshold on positive labels and applies '
        'negative labels everywhere; the text of the paper was not at hand.',
        'Iterations of each stage are not published; all three take the 40 000 of the config.',
        'Known bugs of the code are off: prototypes from images de-normalised in place, mixed '
        'images augmented twice, ranking in training mode.',
        'Easy and hard crops of a pair are drawn independently; the last iterate is scored, where '
        'the code also keeps the best on the validation labels.',
        "On ACDC easy crops are balanced by the teacher's labels; the code uses the true ones.",
        'On ACDC one model serves all conditions; the suite acdc_conditions has one a condition.',
        'On ACDC the code rescales probabilities by a class prior; off here, '
        "class_prior_rescale=true folds it into the classifier's bias, before interpolation.",
        "Scored under the suite's protocol, where the code tests at 1280 x 640 (ACDC 1280 x 720).",
        'Published with DAFormer (network daformer_b5) and a ResNet-101 V1c with trained batch '
        'norm (deeplabv2_r101_v1c); the suite paper runs the Caffe ResNet-101.',
        'With 16 outputs (SYNTHIA) entropies are divided by ln 16; the code has ln 19.',
    ],
    choices=[
        'The pocket rate was lowered once, from 5e-4 to 1e-4, after a first pocket result on '
        'gta5_to_cityscapes (27.4 mIoU) had been seen; it was not searched.',
        'Pocket and CamVid profiles are ours: few iterations, the learning rate of the other '
        'methods there (1e-4), rows without weight scaled to the image, none on CamVid.',
        'Class-balanced crops only where the code has them in effect (ACDC).',
        'The contrast and its regulariser have a weight each, both 1 as in the code: '
        'weight_contrast does not multiply the regulariser.',
    ],
)

_optim = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=6e-5, betas=(0.9, 0.999), weight_decay=0.01),
    paramwise_cfg=dict(
        custom_keys={
            'head': dict(lr_mult=10.0),
            'norm': dict(decay_mult=0.0),
            # the norm after each stage of a Mix Transformer, which mmseg names by its place
            'backbone.layers.0.2.': dict(decay_mult=0.0),
            'backbone.layers.1.2.': dict(decay_mult=0.0),
            'backbone.layers.2.2.': dict(decay_mult=0.0),
            'backbone.layers.3.2.': dict(decay_mult=0.0),
        }
    ),
)
# Their product is the rate of the code; mmengine's schedules reach their end one step early.
_schedule = [
    dict(type='PolyLR', power=1.0, eta_min=0.0, begin=0, end=40001),
    dict(type='LinearLR', start_factor=1e-6, begin=0, end=1501),
]
_common = dict(
    iters=40000,
    batch_size=2,
    input_size=(1280, 640),
    crop_size=(640, 640),
    flip=True,
    optim_wrapper=_optim,
    param_scheduler=_schedule,
)
_larger = dict(input_size=(1280, 720))
_acdc = dict(_larger, crop_size=None, adapter=dict(cbc_size=(640, 640)))
# easy images are resized to fit 1280x640 and cropped as they are loaded
_easy = dict(pair=dict(easy=dict(input_size=(1138, 640), crop_size=(640, 640))))
_networks = dict(teacher_mode='train', predict_on='student', norm_mode='train', cbc_size=None)
_teacher = dict(type='MeanTeacherHook', momentum=0.999, warmup='dacs', buffers='skip')
_labels = dict(positive_threshold=None, negatives_on='all')
_complementary = dict(
    positive=dict(type='WeightedCrossEntropyLoss', loss_weight=1.0),
    negative=dict(type='NegativeLoss', loss_weight=1.0, threshold=0.04, form='joint'),
)
_lists = 'stage://rank/artifacts'
stages = [
    dict(
        name='align',
        adapter=dict(
            type='ATPAlign',
            losses=dict(
                entropy=dict(
                    type='CurriculumEntropyLoss', loss_weight=1e-3, gamma=5.0, detach=False
                ),
                diversity=dict(type='DiversityLoss', loss_weight=1e-4, alpha=3.0),
            ),
            freeze_classifier=False,
            **_networks,
        ),
        # read for class-balanced crops alone
        hooks=dict(teacher=_teacher),
        overrides={'cityscapes_to_acdc*': _acdc},
        **_common,
    ),
    dict(
        name='teach',
        adapter=dict(type='ATPTeach', losses=_complementary, **_labels, **_networks),
        hooks=dict(teacher=_teacher),
        overrides={'cityscapes_to_acdc*': _acdc},
        **_common,
    ),
    dict(
        name='rank',
        kind='label',
        adapter=dict(type='ATPRank', at='input', replicate_train_mode=False),
        writer=dict(type='EntropyRankWriter', easy_portion=0.3, normalisation='none'),
        input_size=(1280, 640),
        overrides={'cityscapes_to_acdc*': _larger},
    ),
    dict(
        name='propagate',
        adapter=dict(
            type='ATPPropagate',
            losses=dict(
                contrast=dict(type='SemanticContrastLoss', loss_weight=1.0, temperature=100.0),
                regulariser=dict(type='ContrastRegulariserLoss', loss_weight=1.0),
                **_complementary,
            ),
            confident=0.968,
            ignore_top=15,
            ignore_bottom=120,
            min_share=0.75,
            projection=512,
            hidden=0,
            augment_twice=False,
            replicate_inplace_bug=False,
            class_prior_rescale=False,
            **_labels,
            **_networks,
        ),
        hooks=dict(teacher=_teacher, contrast=dict(type='ContrastStartHook', begin=1500)),
        data=dict(
            pair=dict(
                easy=dict(type='target', sample_list=f'{_lists}/easy.txt'),
                hard=dict(type='target', sample_list=f'{_lists}/hard.txt'),
            )
        ),
        overrides={'cityscapes_to_acdc*': dict(_acdc, data=_easy)},
        **_common,
    ),
]


# Short profiles: the same stages in few iterations on whole images, one rate for all layers.
_adam = dict(
    _delete_=True, type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-4, weight_decay=1e-4)
)
_whole = dict(
    input_size=None,
    crop_size=None,
    optim_wrapper=_adam,
    param_scheduler=[dict(type='PolyLR', power=1.0, eta_min=0.0, begin=0)],
    overrides=dict(_delete_=True),
)
_rank = dict(input_size=None, batch_size=4, overrides=dict(_delete_=True))
_soon = dict(contrast=dict(begin=2))
profiles = dict(
    paper=dict(),
    pocket=dict(
        align=dict(iters=30, batch_size=4, **_whole),
        teach=dict(iters=30, batch_size=4, **_whole),
        rank=_rank,
        propagate=dict(
            iters=30,
            batch_size=2,
            adapter=dict(ignore_top=2, ignore_bottom=18, projection=64),
            hooks=_soon,
            **_whole,
        ),
    ),
    camvid=dict(
        align=dict(iters=20, batch_size=2, **_whole),
        teach=dict(iters=20, batch_size=2, **_whole),
        rank=_rank,
        propagate=dict(
            iters=14,
            batch_size=2,
            adapter=dict(ignore_top=0, ignore_bottom=0, projection=128),
            hooks=_soon,
            **_whole,
        ),
    ),
)
# Other names of settings, for those whose short ones say too little.
aliases = dict(
    curriculum_detach='losses.entropy.detach',
    negative_threshold='losses.negative.threshold',
    negative_form='losses.negative.form',
    contrast_start='hooks.contrast.begin',
)
