# One pass over the validation images in a row; never reset. Where a method may be told that the
# weather changed: --method 'tent_online[reset_on=condition]'.
card = dict(
    name='tent_online',
    title='Tent (online)',
    track='test-time',
    mechanisms=['entropy', 'statistics'],
    setting='online',
    fidelity='official',
    summary='Entropy minimisation over scale and shift of normalisation layers, image by image.',
    paper='Wang et al., Tent: Fully Test-Time Adaptation by Entropy Minimization, ICLR 2021',
    arxiv='2006.10726',
    code='https://github.com/DequanWang/tent',
    deviations=[
        'Batches of one image.',
        "The paper's rate for segmentation was not at hand; 6e-5 / 8 is that of the continual "
        'test-time papers on ACDC (CoTTA and its descendants).',
    ],
    choices=['Pocket and CamVid profiles: the rate of the other methods there (1e-4), unsearched.'],
)
stages = [
    dict(
        name='stream',
        kind='stream',
        adapter=dict(
            type='TentOnline',
            losses=dict(entropy=dict(type='PixelEntropyLoss', loss_weight=1.0)),
            predict='before',
            reset_on='never',
            steps=1,
            norm_mode='batch',
        ),
        rounds=1,
        batch_size=1,
        order=None,
        optim_wrapper=dict(
            type='OptimWrapper', optimizer=dict(type='Adam', lr=6e-5 / 8, betas=(0.9, 0.999))
        ),
    ),
]
_short = dict(stream=dict(optim_wrapper=dict(optimizer=dict(lr=1e-4))))
profiles = dict(paper=dict(), pocket=_short, camvid=_short)
