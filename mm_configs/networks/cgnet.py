# CGNet (M3N21), trained on Cityscapes by its authors; mmseg's own architecture, weights converted
# from the authors' key names. The classifier has no bias: the converter inserts zeros.
network = dict(
    name='cgnet',
    title='CGNet (M3N21)',
    input=dict(
        channel_order='rgb',
        mean=[72.39239876, 82.90891754, 73.15835921],
        std=[1.0, 1.0, 1.0],
        lib='pillow',
        mode='bilinear',
    ),
    align_corners=False,
    num_classes=19,
    inference=['camvid', 'pocket'],
    source=dict(
        checkpoint='weights/cgnet_m3n21_cityscapes_original_keys.pth',
        sha256='d36f6ded621ef88aefd3391201c718be9c1cf9c596d42cafef6d1b6fbfe90a6a',
        converter='cgnet',
        origin='CGNet repository, MIT',
        # Source-only mIoU under the suite's protocol: the gate before any adaptation.
        expected=dict(cityscapes_to_camvid=dict(expected=42.86, tolerance=0.5)),
        trained_on='cityscapes',
    ),
)

model = dict(
    type='EncoderDecoder',
    pretrained=None,
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[72.39239876, 82.90891754, 73.15835921],
        std=[1.0, 1.0, 1.0],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
    ),
    backbone=dict(
        type='CGNet',
        in_channels=3,
        num_channels=(32, 64, 128),
        num_blocks=(3, 21),
        dilations=(2, 4),
        reductions=(8, 16),
        norm_cfg=dict(type='BN', eps=1e-3, requires_grad=True),
    ),
    decode_head=dict(
        type='FCNHead',
        in_channels=256,
        in_index=2,
        channels=256,
        num_convs=0,
        concat_input=False,
        dropout_ratio=0.0,
        num_classes=19,
        norm_cfg=dict(type='BN', eps=1e-3, requires_grad=True),
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
