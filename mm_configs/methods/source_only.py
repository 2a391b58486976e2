card = dict(
    name='source_only',
    title='Source only',
    track='bound',
    fidelity='paper',
    summary='The source model as it is: the lower bound every method starts from.',
    predict_on='source',
)
stages = []
