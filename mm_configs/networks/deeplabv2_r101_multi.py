# DeepLabV2 with an auxiliary head on layer3 (loss weight 0.1), as AdvEnt and IntraDA train it.
# Source recipe: the multi-level ADVENT schedule, horizon 250 000, stopped at 120 000; scale and
# shift of batch norm frozen, as in its code.
_base_ = './deeplabv2_r101.py'

network = dict(
    name='deeplabv2_r101_multi',
    title='DeepLabV2 multi-level (Caffe ResNet-101)',
    source=dict(
        iters=120000,
        flip=False,
        augment=[],
        model=dict(_delete_=True),
        optim_wrapper=dict(paramwise_cfg=dict(custom_keys=dict(auxiliary_head=dict(lr_mult=10.0)))),
        param_scheduler=[
            dict(type='PolyLR', power=0.9, eta_min=0.0, begin=0, end=250001, by_epoch=False)
        ],
    ),
)
model = dict(
    backbone=dict(out_indices=(2, 3)),
    decode_head=dict(in_index=1),
    auxiliary_head=dict(
        type='DLV2Head',
        in_channels=1024,
        in_index=0,
        num_classes=19,
        num_branches=4,
        align_corners=True,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True, loss_weight=0.1),
    ),
)
