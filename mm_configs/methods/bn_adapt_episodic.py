_base_ = './bn_adapt_online.py'
card = dict(
    name='bn_adapt_episodic',
    mechanisms=['statistics'],
    title='BN-adapt (episodic)',
    setting='episodic',
    summary="The source's batch-norm statistics mixed with those of each image; no gradient.",
    deviations=[
        'A prior of N = 16 source images (momentum 1/17) for an image; the paper tunes N.',
    ],
)
_stage = _base_.stages[0]
stages = [dict(_stage, adapter=dict(_stage['adapter'], momentum=1 / 17, reset_on='image'))]
