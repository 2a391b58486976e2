# Three rounds of the conditions in order, as the driver has them; the rate halves from each.
_base_ = './dat.py'
card = dict(
    name='dat_continual',
    mechanisms=['mean teacher', 'pseudo-labels'],
    title='DAT (continual)',
    setting='continual',
    summary='DAT over several rounds of the same sequence of conditions, never reset.',
    deviations=[
        *_base_.card.deviations,
        "The suite's ACDC stream is the validation split on the suite's network; that of the log, "
        '400 training images a condition, is the task cityscapes_to_acdc_stream_train on the '
        'network segformer_b5.',
    ],
)
stages = [dict(_base_.stages[0], rounds=3)]
