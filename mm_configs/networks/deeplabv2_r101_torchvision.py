# DeepLabV2 of the FADA lineage (DT-ST, SND, RIPU): torchvision's ResNet-101 with dilated stages,
# RGB ImageNet normalisation, floor pooling. Keys like the Caffe network's, other features.
_base_ = './deeplabv2_r101_v1c.py'

network = dict(
    name='deeplabv2_r101_torchvision',
    title='DeepLabV2 (torchvision ResNet-101)',
    input=dict(lib='pillow', mode='bicubic'),
    align_corners=True,
    inference=['dt_st_1536', 'pocket'],
    source=dict(
        init=dict(
            checkpoint='weights/resnet101_torchvision.pth',
            origin='resnet101 of torchvision (ImageNet)',
        )
    ),
)
model = dict(backbone=dict(type='ResNet'), decode_head=dict(align_corners=True))
