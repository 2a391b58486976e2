card = dict(
    name='hcl',
    title='HCL',
    track='source-free',
    mechanisms=['mean teacher', 'pseudo-labels', 'contrast'],
    fidelity='paper',
    summary='Pseudo-labels of the source model, weighed by how well two past models agree; '
    'positions contrasted with those of an average that is restarted now and then.',
    paper='Huang et al., Model Adaptation: Historical Contrastive Learning for Unsupervised Domain '
    'Adaptation without Source Data, NeurIPS 2021',
    arxiv='2110.03374',
    code='https://github.com/jxhuang0508/HCL',
    deviations=[
        'Follows the released code; the losses printed in the paper differ. Of those, '
        '`category.form=paper` has the weight of the category loss.',
        'One device normalises the batch of 9 as one; the code has 3 images on each of 3 GPUs.',
        'The clean images of the forward that only moves batch-norm statistics are those of the '
        'batch, forwarded after the step; in the code they are drawn apart, before the step. No '
        'ground truth is loaded.',
        'SYNTHIA, ACDC: no published recipe; the settings of GTA5.',
        'Source model: that of the network, without the channel shuffle that HCL trains its own '
        'with (42.6 mIoU).',
        'Networks without an auxiliary head: the main head alone, which also gives the '
        'reliability of the keys.',
        'Pocket and CamVid profiles: Adam at 1e-4 with each weight listed once, no warm-up, '
        'momentum 0.9, restart every 20 iterations, a smaller projector and crops; CamVid: labels '
        "from one pass at the size of the file, features from the decode head's input.",
    ],
    choices=[
        'The published run stops at an iterate that is not stated, within 100 000: 15 000 '
        'iterations (ACDC 5 000), the last one scored.',
        'Backbone weights are stepped three times an iteration (paper profile), as the code does.',
        'Pixels of label 255, which the labelling never gives, are no positives.',
        'Pocket and CamVid settings were fixed before any result.',
    ],
)
stages = [
    dict(
        name='label',
        kind='label',
        adapter=dict(type='FusedPredictor', flip=True, auxiliary_weight=0.5),
        writer=dict(type='LabelWriter'),
        batch_size=1,
        input_size=None,
        pack=dict(type='PackSizes', sizes=[(1024, 512), (1280, 640)], mode='bicubic'),
    ),
    dict(
        name='adapt',
        # class weights and the forward after each step know one device's images: not shared
        single_device=True,
        adapter=dict(
            type='HCL',
            losses=dict(
                category=dict(type='HistoricalCategoryLoss', loss_weight=1.0, form='code'),
                auxiliary=dict(type='HistoricalCategoryLoss', loss_weight=0.5, form='code'),
                instance=dict(type='InstanceContrastLoss', loss_weight=0.5, temperature=0.07),
            ),
            feature_layer='layer3',
            hidden=2048,
            projection=128,
            max_value=7.0,
            small_pixels=4096,
            teacher_mode='train',
            norm_mode='train',
        ),
        hooks=dict(
            # `hcl[clean.interval=none]` leaves out the forward of clean images after each step
            clean=dict(type='CleanForwardHook', interval=1),
            history=dict(
                type='HistoricalModelHook', momentum=0.996, interval=1, buffers='copy', restart=300
            ),
        ),
        data=dict(type='target', labels='stage://label/artifacts/labels'),
        iters=15000,
        batch_size=9,
        input_size=None,
        crop_size=None,
        flip=False,
        score_every=300,
        pack=dict(
            type='HistoricalCrops',
            base_size=(1280, 640),
            crop_size=(256, 512),
            scale=(0.8, 1.2),
            min_classes=10,
            tries=10,
            flip=0.5,
            colour=True,
            clean_size=(1024, 512),
            mode='bicubic',
        ),
        optim_wrapper=dict(
            type='OptimWrapper',
            constructor='RepeatOptimWrapperConstructor',
            optimizer=dict(type='SGD', lr=1e-4, momentum=0.9, nesterov=True, weight_decay=5e-4),
            paramwise_cfg=dict(
                backbone_repeat=3,
                custom_keys=dict(
                    decode_head=dict(lr_mult=10.0),
                    auxiliary_head=dict(lr_mult=10.0),
                    projector=dict(lr_mult=10.0),
                ),
            ),
        ),
        param_scheduler=[
            dict(type='WarmupPolyLR', warmup=5000, start=0.1, horizon=100000, power=0.9)
        ],
    ),
]


# Crops about half as wide as the image; a class is small below 1/32 of the crop.
_short = dict(
    batch_size=4,
    hooks=dict(history=dict(momentum=0.9, restart=20)),
    optim_wrapper=dict(_delete_=True, type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4)),
    param_scheduler=[],
)
_acdc = dict(
    label=dict(pack=dict(sizes=[(960, 540), (1200, 675)])),
    adapt=dict(iters=5000, pack=dict(base_size=(960, 540), clean_size=(960, 540))),
)
profiles = dict(
    paper={
        stage: dict(overrides={'cityscapes_to_acdc*': _acdc[stage]}) for stage in ('label', 'adapt')
    },
    pocket=dict(
        label=dict(pack=dict(sizes=[1.0, 1.25])),
        adapt=dict(
            _short,
            iters=60,
            adapter=dict(small_pixels=256, hidden=64, projection=32),
            overrides=dict(segformer_pocket=dict(adapter=dict(feature_layer='head_input'))),
            pack=dict(base_size=(240, 120), crop_size=(64, 128), clean_size=(192, 96)),
        ),
    ),
    camvid=dict(
        # one pass instead of four: labelling would take longer than all the rest
        label=dict(adapter=dict(flip=False), pack=dict(sizes=[1.0], mode='bilinear')),
        adapt=dict(
            _short,
            iters=40,
            adapter=dict(small_pixels=1440, hidden=64, projection=32, feature_layer='head_input'),
            pack=dict(base_size=(600, 450), crop_size=(192, 240), clean_size=(480, 360)),
        ),
    ),
)
# Both losses alone, as in the paper's ablation.
presets = dict(
    variant=dict(
        hccd={'instance.loss_weight': 0.0},
        hcid={'category.loss_weight': 0.0, 'auxiliary.loss_weight': 0.0},
        full={
            'category.loss_weight': 1.0,
            'auxiliary.loss_weight': 0.5,
            'instance.loss_weight': 0.5,
        },
    )
)
networks = dict(paper=['deeplabv2_r101_multi'])
search = dict(axes={'lr': 'log(0.1, 10)', 'instance.loss_weight': 'log(0.3, 3)'})
