# SegFormer with MiT-B0: the small one of the family, recipe as for B5.
_base_ = './segformer_b5.py'

network = dict(
    name='segformer_b0',
    title='SegFormer (MiT-B0)',
    source=dict(
        init=dict(checkpoint='weights/mit_b0.pth', origin='mit_b0.pth of SegFormer (ImageNet-1k)')
    ),
)
model = dict(
    backbone=dict(embed_dims=32, num_layers=[2, 2, 2, 2]),
    decode_head=dict(in_channels=[32, 64, 160, 256]),
)
