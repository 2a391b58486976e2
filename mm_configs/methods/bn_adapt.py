card = dict(
    name='bn_adapt',
    title='BN-adapt',
    track='source-free',
    mechanisms=['statistics'],
    fidelity='paper',
    summary='Batch-norm statistics recomputed on the unlabelled target; no gradient.',
    paper='Li et al., Revisiting Batch Normalization for Practical Domain Adaptation, 2016',
    arxiv='1603.04779',
    deviations=[
        'Statistics are the plain average over mini-batches of one pass over the target images.',
    ],
)
needs = ['batch_norm']
stages = [
    dict(
        name='adapt',
        # Statistics are gathered in one process; there is no gradient to share.
        single_device=True,
        adapter=dict(type='BNAdapt', source_weight=0.0),
        iters=100,
        batch_size=4,
        crop_size=None,
        flip=False,
        # mmengine's Runner wants an optimiser; the adapter never steps it.
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.0)),
    ),
]
# one pass over 2975 images of Cityscapes, 1600 of ACDC or 400 of one of its conditions
_acdc = {'cityscapes_to_acdc': dict(iters=400), 'cityscapes_to_acdc_*': dict(iters=100)}
profiles = dict(
    pocket=dict(adapt=dict(iters=30)),
    camvid=dict(adapt=dict(iters=92)),
    paper=dict(adapt=dict(iters=744, overrides=_acdc)),
)
skip = {}
