# DeepLabV2 as CBST and CRST train it: the Caffe-style ResNet-101 of the AdaptSegNet line with
# other inputs. Source recipe of the code (`train.py`): ImageNet weights, images at 1052x1914
# (height x width), crops of 500, scales 0.5 to 1.5, batch 4, 100 000 iterations. Batch norm is in
# evaluation mode with a frozen scale and shift, here and in adaptation: its statistics are
# ImageNet's from beginning to end. Deviations: all images of GTA5 (their list: 19 984 of 24 966);
# the last iterate; SYNTHIA at the size of GTA5 (published: 1024x2048).
_base_ = './deeplabv2_r101.py'

network = dict(
    name='deeplabv2_r101_rgb',
    title='DeepLabV2 (Caffe ResNet-101, ImageNet statistics throughout)',
    input=dict(
        channel_order='rgb',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        lib='cv2',
        mode='bilinear',
    ),
    # 19 outputs on SYNTHIA, too
    classes=dict(_delete_=True),
    inference=['crst_test_0912f', 'crst_native_flip', 'pocket'],
    source=dict(
        init=dict(
            _delete_=True,
            checkpoint='weights/resnet101_torchvision.pth',
            converter='resnet_imagenet',
            origin='resnet101 of torchvision (ImageNet, 5d3b4d8f), without its classifier',
        ),
        iters=100000,
        batch_size=4,
        input_size=(1914, 1052),
        flip=True,
        augment=[
            dict(type='RandomScale', factors=[0.1 * tenth for tenth in range(5, 16)]),
            dict(type='MinedCrop', crop_size=(500, 500)),
        ],
        model=dict(_delete_=True, backbone=dict(norm_eval=True)),
        param_scheduler=[
            dict(type='PolyLR', power=0.9, eta_min=0.0, begin=0, end=100001, by_epoch=False)
        ],
    ),
)
model = dict(
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True
    ),
)
