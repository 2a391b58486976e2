_base_ = './maxsquare.py'

card = dict(
    name='maxsquare_uda',
    title='MaxSquare',
    reported_label='MaxSquare',
    track='uda',
    mechanisms=['entropy'],
    fidelity='paper',
    summary='Squared probabilities of target pixels maximised beside labelled source images.',
    deviations=[
        'The last iterate; the code keeps the best on the validation labels.',
        "The network's own head; the code's sums two of its four dilations.",
    ],
    choices=[
        'Starts from the source model, as published.',
        'A step for the sum of both domains; the code adds their gradients up, which is the same.',
        *_base_.card.choices[1:],
    ],
)
_adapter = dict(
    type='MaxSquareUDA',
    losses=dict(
        seg=dict(type='PseudoLabelLoss', loss_weight=1.0),
        square=dict(type='MaxSquareLoss', loss_weight=0.1, objective='square'),
    ),
    norm_mode='train',
)
stages = [
    dict(
        _base_.stages[0],
        adapter=_adapter,
        data=dict(pair=dict(source='source', target=dict(type='target'))),
    )
]
profiles = dict(pocket=dict(adapt=dict(iters=40, batch_size=2)))
skip = dict(cityscapes_to_camvid='the source images are not at hand in this suite')
