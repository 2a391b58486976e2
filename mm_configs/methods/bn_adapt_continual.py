_base_ = './bn_adapt_online.py'
card = dict(
    name='bn_adapt_continual',
    title='BN-adapt (continual)',
    setting='continual',
    summary='Batch-norm statistics that follow several rounds of the same conditions; no gradient.',
)
stages = [dict(_base_.stages[0], rounds=10)]
_short = dict(stream=dict(rounds=3))
profiles = dict(paper=dict(), pocket=_short, camvid=_short)
