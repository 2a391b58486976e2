# DeepLabV2 on VGG16, as in AdaptSegNet's deeplab_vgg: its head, too, sums two of four branches.
_base_ = './deeplabv2_r101.py'

network = dict(
    name='deeplabv2_vgg16',
    title='DeepLabV2 (VGG16)',
    lacks=['batch_norm'],
    source=dict(
        init=dict(
            checkpoint='weights/vgg16_caffe.pth',
            converter='vgg_imagenet',
            origin='VGG16 in Caffe convention (ImageNet)',
        ),
        # no batch norm
        model=dict(_delete_=True),
    ),
)
model = dict(
    backbone=dict(_delete_=True, type='DeepLabVGG16'),
    decode_head=dict(in_channels=1024, num_branches=2),
)
