# The DAFormer line's "DeepLabV2": ResNet-V1c (three 3x3 convolutions for a stem), RGB, trained BN.
# Not the Caffe network of the AdaptSegNet line, although the tables give both the same name.
network = dict(
    name='deeplabv2_r101_v1c',
    title='DeepLabV2 (ResNet-101 V1c)',
    input=dict(
        channel_order='rgb',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        lib='cv2',
        mode='bilinear',
    ),
    align_corners=False,
    num_classes=19,
    inference=['daformer', 'acdc_daformer', 'camvid', 'pocket'],
    source=dict(
        init=dict(
            checkpoint='weights/resnet101_v1c.pth',
            converter='resnet_imagenet',
            origin='resnet101_v1c of OpenMMLab (ImageNet)',
        ),
        iters=40000,
        batch_size=2,
        crop_size=(640, 640),
        flip=True,
        optim_wrapper=dict(
            type='OptimWrapper',
            optimizer=dict(type='AdamW', lr=6e-5, betas=(0.9, 0.999), weight_decay=0.01),
            paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=10.0))),
        ),
        # the product is mmcv's rate; mmengine's schedules reach their end one step early
        param_scheduler=[
            dict(type='PolyLR', power=1.0, eta_min=0.0, begin=0, end=40001, by_epoch=False),
            dict(type='LinearLR', start_factor=1e-6, begin=0, end=1501, by_epoch=False),
        ],
    ),
)

model = dict(
    type='EncoderDecoder',
    pretrained=None,
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
    ),
    backbone=dict(
        type='ResNetV1c',
        depth=101,
        num_stages=4,
        out_indices=(3,),
        strides=(1, 2, 1, 1),
        dilations=(1, 1, 2, 4),
        contract_dilation=True,
        style='pytorch',
        norm_cfg=dict(type='BN', requires_grad=True),
        norm_eval=False,
    ),
    decode_head=dict(
        type='DLV2Head',
        in_channels=2048,
        in_index=0,
        num_classes=19,
        num_branches=4,
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss'),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
