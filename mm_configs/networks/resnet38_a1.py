# Wide ResNet-38, model A1, of CBST: stored BN statistics always, affine parameters trained, biases
# and betas at twice the rate without decay. Recipe: 30 epochs of 24 966 images at batch 16, on any
# source; the authors take 50 epochs of SYNTHIA, scale by 0.7 to 1.3 and start from ImageNet weights
# in MXNet's format, which are not declared here: this network starts at random.
network = dict(
    name='resnet38_a1',
    title='ResNet-38 (A1)',
    input=dict(
        channel_order='rgb',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        lib='pillow',
        mode='bicubic',
    ),
    align_corners=False,
    num_classes=19,
    inference=['cbst_mxnet_2048_flip', 'camvid', 'pocket'],
    source=dict(
        iters=46811,
        batch_size=16,
        crop_size=(504, 504),
        flip=True,
        optim_wrapper=dict(
            type='OptimWrapper',
            optimizer=dict(type='SGD', lr=1.6e-3, momentum=0.9, weight_decay=5e-4),
            paramwise_cfg=dict(custom_keys=dict(bias=dict(lr_mult=2.0, decay_mult=0.0))),
        ),
        param_scheduler=[],
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
    backbone=dict(type='ResNet38A1', norm_eval=True),
    decode_head=dict(
        type='A1Head',
        in_channels=4096,
        in_index=0,
        channels=512,
        num_classes=19,
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
