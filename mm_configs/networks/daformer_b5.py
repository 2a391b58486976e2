# DAFormer: MiT-B5 with the context-aware fusion head. Source recipe: the same stack as ATP's.
_base_ = './segformer_b5.py'

network = dict(name='daformer_b5', title='DAFormer (MiT-B5)')
model = dict(
    decode_head=dict(
        _delete_=True,
        type='DAFormerHead',
        in_channels=[64, 128, 320, 512],
        in_index=[0, 1, 2, 3],
        channels=256,
        embed_dims=256,
        dilations=(1, 6, 12, 18),
        dropout_ratio=0.1,
        num_classes=19,
        norm_cfg=dict(type='BN', requires_grad=True),
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss'),
    ),
)
