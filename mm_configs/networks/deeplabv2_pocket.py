# DeepLabV2 in pocket size: the same head on a 10-layer ResNet of 16 to 128 channels, output
# stride 4. Trains from scratch on one CPU core in about a minute.
network = dict(
    name='deeplabv2_pocket',
    title='DeepLabV2 (pocket)',
    input=dict(
        channel_order='bgr',
        mean=[104.00698793, 116.66876762, 122.67891434],
        std=[57.0, 57.0, 57.0],
        lib='pillow',
        mode='bicubic',
    ),
    align_corners=True,
    num_classes=19,
    inference=['pocket'],
    source=dict(
        iters=600,
        batch_size=4,
        crop_size=None,
        flip=True,
        optim_wrapper=dict(
            type='OptimWrapper', optimizer=dict(type='Adam', lr=5e-3, weight_decay=1e-4)
        ),
        param_scheduler=[
            dict(type='PolyLR', power=0.9, eta_min=0.0, begin=0, end=600, by_epoch=False)
        ],
    ),
)

model = dict(
    type='EncoderDecoder',
    pretrained=None,
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[104.00698793, 116.66876762, 122.67891434],
        std=[57.0, 57.0, 57.0],
        bgr_to_rgb=False,
        pad_val=0,
        seg_pad_val=255,
    ),
    backbone=dict(
        type='CaffeResNet',
        depth=10,
        base_channels=16,
        stem_channels=16,
        stem_pool=False,
        out_indices=(3,),
        norm_cfg=dict(type='BN', requires_grad=True),
        norm_eval=False,
    ),
    decode_head=dict(
        type='DLV2Head',
        in_channels=128,
        in_index=0,
        num_classes=19,
        num_branches=4,
        dilations=(1, 2, 4, 8),
        align_corners=True,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
