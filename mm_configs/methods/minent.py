# ADVENT without discriminators: the target's entropy itself is minimised.
_base_ = './advent.py'

card = dict(
    name='minent',
    mechanisms=['entropy'],
    title='MinEnt',
    reported='minent',
    reported_label='MinEnt',
    summary='Minimisation of the entropy of target predictions, beside labelled source images.',
    choices=[
        *_base_.card.choices,
        'The weights of the entropies are those of the adversarial losses in ADVENT.',
    ],
)
_losses = _base_.stages[0].adapter.losses
stages = [
    dict(
        _base_.stages[0],
        adapter=dict(
            _base_.stages[0]['adapter'],
            type='MinEnt',
            losses=dict(
                segmentation=_losses.segmentation,
                segmentation_auxiliary=_losses.segmentation_auxiliary,
                adversarial_main=dict(type='SelfInformationLoss', loss_weight=0.001),
                adversarial_auxiliary=dict(type='SelfInformationLoss', loss_weight=0.0002),
            ),
        ),
        optim_wrapper=_base_.stages[0]['optim_wrapper']['student'],
    )
]
_adam = dict(_delete_=True, type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4))
_whole = [dict(type='PolyLR', power=0.9, eta_min=0.0, begin=0)]
profiles = dict(
    _delete_=True,
    paper=dict(
        adapt=dict(
            init='initial',
            overrides=dict(synthia_to_cityscapes=dict(iters=90000, param_scheduler=_whole)),
        )
    ),
    camvid=dict(),
    pocket=dict(adapt=dict(iters=40, batch_size=2, optim_wrapper=_adam, param_scheduler=_whole)),
)
