_base_ = './maxsquare_uda.py'

card = dict(
    name='maxsquare_iw_uda',
    mechanisms=['entropy'],
    title='IW-MaxSquare',
    reported_label='MaxSquare+IW',
    summary='As MaxSquare, pixels of classes that are rare in their image counting more.',
)
_stage = _base_.stages[0]
_loss = dict(type='ImageWeightedMaxSquareLoss', loss_weight=0.1, objective='square', iw_ratio=0.2)
_losses = dict(_stage['adapter']['losses'], square=_loss)
stages = [dict(_stage, adapter=dict(_stage['adapter'], losses=_losses))]
