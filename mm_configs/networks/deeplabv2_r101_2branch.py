# The AdaptSegNet lineage: the head's loop returned after dilations 6 and 12. Checkpoints have the
# keys of the four-branch network, so the wrong choice loads silently.
_base_ = './deeplabv2_r101.py'

network = dict(name='deeplabv2_r101_2branch', title='DeepLabV2 (Caffe ResNet-101, 2 of 4 branches)')
model = dict(decode_head=dict(num_branches=2))
