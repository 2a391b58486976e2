# SegFormer in pocket size: a Mix Transformer of 16 to 96 channels, one block a stage, under the
# all-MLP head. Nothing in it keeps batch statistics: layer norm in the encoder, group norm where
# the head of the family has batch norm.
# Length of training chosen by source and oracle alone (GTA5, seed 0): of twice this depth, 1 000
# iterations gave 34 and 45 mIoU, 2 000 gave 36 and 50; this depth, at 2 000, 37 and 49 in two
# minutes on one core.
network = dict(
    name='segformer_pocket',
    title='SegFormer (pocket)',
    input=dict(
        channel_order='rgb',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        lib='cv2',
        mode='bilinear',
    ),
    align_corners=False,
    num_classes=19,
    inference=['pocket'],
    # methods that move batch-norm statistics are skipped
    lacks=['batch_norm'],
    norms='layer norm in the encoder, group norm in the head',
    source=dict(
        iters=2000,
        batch_size=4,
        crop_size=None,
        flip=True,
        optim_wrapper=dict(
            type='OptimWrapper',
            optimizer=dict(type='AdamW', lr=2e-3, betas=(0.9, 0.999), weight_decay=0.01),
        ),
        param_scheduler=[
            dict(type='PolyLR', power=0.9, eta_min=0.0, begin=0, end=2000, by_epoch=False),
            dict(type='LinearLR', start_factor=0.01, begin=0, end=51, by_epoch=False),
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
        embed_dims=16,
        num_stages=4,
        num_layers=[1, 1, 1, 1],
        num_heads=[1, 2, 4, 4],
        patch_sizes=[7, 3, 3, 3],
        sr_ratios=[4, 2, 1, 1],
        out_indices=(0, 1, 2, 3),
        mlp_ratio=4,
        qkv_bias=True,
        drop_rate=0.0,
        attn_drop_rate=0.0,
        drop_path_rate=0.0,
    ),
    decode_head=dict(
        type='SegformerHead',
        in_channels=[16, 32, 64, 64],
        in_index=[0, 1, 2, 3],
        channels=64,
        dropout_ratio=0.1,
        num_classes=19,
        norm_cfg=dict(type='GN', num_groups=8, requires_grad=True),
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
