# Every image by itself: adapted, predicted, forgotten. The result does not depend on their order.
_base_ = './tent_online.py'
card = dict(
    name='tent_episodic',
    mechanisms=['entropy', 'statistics'],
    title='Tent (episodic)',
    setting='episodic',
    summary='Tent on every image by itself: adapt, predict, return to the source model.',
    deviations=[
        'Batches of one image.',
        'One step an image before it is predicted, at the rate of tent_online; number and size of '
        "the paper's steps were not at hand (steps and lr are parameters).",
    ],
)
_stage = _base_.stages[0]
stages = [dict(_stage, adapter=dict(_stage['adapter'], predict='after', reset_on='image'))]
