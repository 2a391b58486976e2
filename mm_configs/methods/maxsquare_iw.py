# Without source data, pixels weighted within each image. `maxsquare_iw[iw_ratio=0]`: all alike.
_base_ = './maxsquare.py'

card = dict(
    name='maxsquare_iw',
    mechanisms=['entropy'],
    title='IW-MaxSquare (source-free reading)',
    reported='maxsquare',
    reported_label='MaxSquare+IW',
    summary='Squared probabilities maximised, pixels of classes that are rare in their image '
    'counting more.',
    deviations=[
        *_base_.card.deviations,
        'Weights are those of each image; the released code weighs a class of every image by the '
        'map of another image when a batch has several. At one image both are equal.',
    ],
    choices=[
        'The exponent of the class size is 0.2, as published for GTA5 and by default.',
        *_base_.card.choices,
    ],
)
_stage = _base_.stages[0]
_loss = dict(type='ImageWeightedMaxSquareLoss', loss_weight=0.1, objective='square', iw_ratio=0.2)
stages = [dict(_stage, adapter=dict(_stage['adapter'], losses=dict(square=_loss)))]
