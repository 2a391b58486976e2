_base_ = './bn_adapt_online.py'
card = dict(
    name='bn_adapt_continual',
    mechanisms=['statistics'],
    title='BN-adapt (continual)',
    setting='continual',
    summary='Batch-norm statistics that follow several rounds of the same conditions; no gradient.',
    deviations=[
        *_base_.card.deviations,
        "The ACDC stream is the validation split of this benchmark's task on the suite's network, "
        'whole images, 10 rounds; the papers take the training split (400 images a condition), '
        'SegFormer-B5 with a sliding window of 1024, several scales and 3 or 10 rounds.',
    ],
)
stages = [dict(_base_.stages[0], rounds=10)]
_short = dict(stream=dict(rounds=3))
profiles = dict(paper=dict(), pocket=_short, camvid=_short)
