_base_ = './ubna.py'

card = dict(
    name='ubna_plus',
    mechanisms=['statistics'],
    title='UBNA+',
    reported='ubna',
    reported_label='UBNA+',
    summary="The source's batch-norm statistics moved towards the target, less in deeper layers, "
    'by 50 batches whose weight fades; no gradient.',
    choices=[
        *_base_.card.choices,
        'A decay of 0.03 a layer, as published for GTA5 and SYNTHIA to Cityscapes with 13 layers; '
        'ACDC and CamVid, which the paper does not have, likewise. ResNet-101 has 104 layers, of '
        'which the last then moves by a twentieth of the first.',
    ],
)
_hook = _base_.stages[0]['hooks']['fading']
stages = [dict(_base_.stages[0], hooks=dict(fading=dict(_hook, layer_decay=0.03)))]
search = dict(_delete_=True, axes={'layer_decay': 'log(0.1, 10)', 'batch_decay': 'log(0.3, 3)'})
