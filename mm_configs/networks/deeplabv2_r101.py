# DeepLabV2 with the Caffe ResNet-101 of the AdaptSegNet / ADVENT line, all four branches summed.
# Source recipe: 80 000 iterations of a 200 000-iteration poly schedule, whole images, batch 1; the
# last iterate, not the best. All images of the source, of which the line leaves out some (GTA5:
# 23 966 of 24 966, SYNTHIA: 9 300 of 9 400). As in the code of LTTM/UDAclustering, source training
# moves the scale and shift of batch norm in all layers but the stem; adaptation freezes them. A
# suite with `source=dict(model=dict(backbone=dict(norm_cfg=dict(requires_grad=False))))` freezes
# them in source training, too, as AdaptSegNet and ADVENT do.
network = dict(
    name='deeplabv2_r101',
    title='DeepLabV2 (Caffe ResNet-101)',
    input=dict(
        channel_order='bgr',
        mean=[104.00698793, 116.66876762, 122.67891434],
        std=[1.0, 1.0, 1.0],
        lib='pillow',
        mode='bicubic',
    ),
    align_corners=True,
    num_classes=19,
    # the line trains 16 outputs where the source is SYNTHIA
    classes=dict(synthia_to_cityscapes='synthia16'),
    inference=[
        'dlv2_caffe',
        'acdc_dlv2_caffe',
        'hcl_msflip',
        'proda_native',
        'urma_1024_halfgt',
        'ocl_1024_flip_halfgt',
        'seg_uncertainty_msflip',
        'simt_2scales',
        'metacorrection_fused',
        'dasac_native',
        'pocket',
    ],
    source=dict(
        # ImageNet + COCO weights of the lineage; the input size comes from the suite
        init=dict(
            checkpoint='weights/deeplabv2_r101_init.pth',
            converter='dlv2_scale_init',
            origin='DeepLab_resnet_pretrained_init-f81d91e8.pth of the AdaptSegNet code',
        ),
        iters=80000,
        batch_size=1,
        crop_size=None,
        flip=True,
        augment=[dict(type='RandomBlur', prob=0.5, radius=(0.0, 1.0))],
        model=dict(
            backbone=dict(norm_cfg=dict(type='BN', requires_grad=True), stem_affine=False),
        ),
        optim_wrapper=dict(
            type='OptimWrapper',
            # the line's code lists most backbone weights three times, each a step of its own
            constructor='RepeatOptimWrapperConstructor',
            optimizer=dict(type='SGD', lr=2.5e-4, momentum=0.9, weight_decay=5e-4),
            paramwise_cfg=dict(backbone_repeat=3, custom_keys=dict(decode_head=dict(lr_mult=10.0))),
        ),
        # the horizon is 200 000 although training stops at 80 000
        param_scheduler=[
            dict(type='PolyLR', power=0.9, eta_min=0.0, begin=0, end=200001, by_epoch=False)
        ],
    ),
)

model = dict(
    type='EncoderDecoder',
    pretrained=None,
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[104.00698793, 116.66876762, 122.67891434],
        std=[1.0, 1.0, 1.0],
        bgr_to_rgb=False,
        pad_val=0,
        seg_pad_val=255,
    ),
    backbone=dict(
        type='CaffeResNet',
        depth=101,
        out_indices=(3,),
        norm_cfg=dict(type='BN', requires_grad=False),
        norm_eval=False,
    ),
    decode_head=dict(
        type='DLV2Head',
        in_channels=2048,
        in_index=0,
        num_classes=19,
        num_branches=4,
        align_corners=True,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
