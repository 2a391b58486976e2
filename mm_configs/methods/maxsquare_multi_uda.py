# With the guidance of an auxiliary head by what both heads predict.
_base_ = './maxsquare_iw_uda.py'

card = dict(
    name='maxsquare_multi_uda',
    mechanisms=['entropy', 'pseudo-labels'],
    title='IW-MaxSquare, multi-level',
    reported_label='MaxSquare+IW+Multi',
    summary='As IW-MaxSquare, and an auxiliary head learns what one of the heads is sure of.',
    choices=[
        'Networks without an auxiliary head (the pocket one) are trained as IW-MaxSquare is.',
        *_base_.card.choices,
    ],
)
_stage = _base_.stages[0]
_losses = _stage['adapter']['losses']
# the weight of the target's losses is 0.09 here, that of the auxiliary head 0.1
_square = dict(_losses['square'], loss_weight=0.09)
_losses = dict(
    _losses,
    auxiliary=dict(type='PseudoLabelLoss', loss_weight=0.1),
    square=_square,
    guidance=dict(type='HeadGuidanceLoss', loss_weight=0.009, threshold=0.95),
)
stages = [dict(_stage, adapter=dict(_stage['adapter'], losses=_losses))]
networks = dict(paper=['deeplabv2_r101_multi'])
# the published size of the target's images
_wide = dict(pair=dict(target=dict(type='target', input_size=(1280, 640))))
profiles = dict(paper=dict(adapt=dict(overrides=dict(gta5_to_cityscapes=dict(data=_wide)))))
