# SegFormer with MiT-B5 under the conventions of the DAFormer line, with ATP's crops of 640 (512 in
# DAFormer) and without its rare-class sampling and feature distance.
network = dict(
    name='segformer_b5',
    title='SegFormer (MiT-B5)',
    input=dict(
        channel_order='rgb',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        lib='cv2',
        mode='bilinear',
    ),
    align_corners=False,
    num_classes=19,
    inference=[
        'daformer',
        'acdc_daformer',
        'atp_1280',
        'atp_1280_prior',
        'ctta_960_slide',
        'ctta_960_slide_14views',
        'cma_native_slide',
        'hrda_2048_slide',
        'camvid',
        'pocket',
    ],
    source=dict(
        init=dict(
            checkpoint='weights/mit_b5.pth',
            converter='mit_imagenet',
            origin='mit_b5.pth of SegFormer (ImageNet-1k)',
        ),
        iters=40000,
        batch_size=2,
        crop_size=(640, 640),
        flip=True,
        optim_wrapper=dict(
            type='OptimWrapper',
            optimizer=dict(type='AdamW', lr=6e-5, betas=(0.9, 0.999), weight_decay=0.01),
            # no decay on any norm; that after each stage mmseg names by its place
            paramwise_cfg=dict(
                custom_keys={
                    'head': dict(lr_mult=10.0),
                    'norm': dict(decay_mult=0.0),
                    'backbone.layers.0.2.': dict(decay_mult=0.0),
                    'backbone.layers.1.2.': dict(decay_mult=0.0),
                    'backbone.layers.2.2.': dict(decay_mult=0.0),
                    'backbone.layers.3.2.': dict(decay_mult=0.0),
                }
            ),
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
        type='MiT',
        embed_dims=64,
        num_stages=4,
        num_layers=[3, 6, 40, 3],
        num_heads=[1, 2, 5, 8],
        patch_sizes=[7, 3, 3, 3],
        sr_ratios=[8, 4, 2, 1],
        out_indices=(0, 1, 2, 3),
        mlp_ratio=4,
        qkv_bias=True,
        drop_rate=0.0,
        attn_drop_rate=0.0,
        drop_path_rate=0.1,
    ),
    decode_head=dict(
        type='SegformerHead',
        in_channels=[64, 128, 320, 512],
        in_index=[0, 1, 2, 3],
        channels=256,
        dropout_ratio=0.1,
        num_classes=19,
        norm_cfg=dict(type='BN', requires_grad=True),
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss'),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
