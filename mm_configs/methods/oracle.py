card = dict(
    name='oracle',
    title='Oracle (target labels)',
    track='bound',
    fidelity='paper',
    summary='The same network trained on the labels of the target: the upper bound.',
    deviations=[
        'On CamVid the network starts from the source model, because no recipe trains it from '
        'scratch on 367 images; its 19 outputs are trained on the 11 labels they map to.',
    ],
)
stages = [
    dict(
        name='train',
        kind='train',
        # The network's own source recipe, with the target's labels in place of the source's.
        recipe='network',
        init='scratch',
        overrides=dict(
            cityscapes_to_camvid=dict(
                init='source',
                iters=400,
                batch_size=4,
                crop_size=None,
                flip=True,
                optim_wrapper=dict(
                    type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3, weight_decay=5e-4)
                ),
                param_scheduler=[dict(type='PolyLR', power=0.9, eta_min=0.0)],
            ),
        ),
    ),
]
