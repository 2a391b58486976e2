# The conditions in order, round after round, as published; never reset.
_base_ = './cotta.py'
card = dict(
    name='cotta_continual',
    mechanisms=['mean teacher', 'pseudo-labels'],
    title='CoTTA (continual)',
    setting='continual',
    summary='CoTTA over several rounds of the same sequence of conditions, never reset.',
    deviations=[
        *_base_.card.deviations,
        "The suite's ACDC stream is the validation split on the suite's network. That of the "
        'papers, 400 training images a condition, is the task cityscapes_to_acdc_stream_train on '
        'the network segformer_b5; the rounds are 10 in its drivers, 3 in those of SVDP and DAT.',
    ],
)
stages = [dict(_base_.stages[0], rounds=10)]
_short = dict(
    stream=dict(
        rounds=3,
        adapter=dict(teacher=dict(momentum=0.95)),
        optim_wrapper=dict(optimizer=dict(lr=1e-4)),
    )
)
profiles = dict(paper=dict(), pocket=_short, camvid=_short)
