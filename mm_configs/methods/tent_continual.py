# The validation images in the order of their conditions, round after round; never reset.
_base_ = './tent_online.py'
card = dict(
    name='tent_continual',
    mechanisms=['entropy', 'statistics'],
    title='Tent (continual)',
    setting='continual',
    summary='Tent over several rounds of the same sequence of conditions, never reset.',
    deviations=[
        *_base_.card.deviations,
        "The ACDC stream is the validation split of this benchmark's task on the suite's network, "
        'whole images, 10 rounds; the papers take the training split (400 images a condition), '
        'SegFormer-B5 with a sliding window of 1024, several scales and 3 or 10 rounds.',
    ],
)
stages = [dict(_base_.stages[0], rounds=10)]
_short = dict(stream=dict(rounds=3, optim_wrapper=dict(optimizer=dict(lr=1e-4))))
profiles = dict(paper=dict(), pocket=_short, camvid=_short)
