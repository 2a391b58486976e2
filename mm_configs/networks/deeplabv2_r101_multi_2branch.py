# AdaptSegNet multi-level: both heads sum dilations 6 and 12 only.
_base_ = './deeplabv2_r101_multi.py'

network = dict(
    name='deeplabv2_r101_multi_2branch',
    title='DeepLabV2 multi-level (Caffe ResNet-101, 2 of 4 branches)',
)
model = dict(decode_head=dict(num_branches=2), auxiliary_head=dict(num_branches=2))
