_base_ = './cbst.py'

card = dict(
    name='cbst_uda',
    title='CBST (with source data)',
    reported='cbst',
    reported_label='CBST',
    track='uda',
    fidelity='paper',
    summary='Three rounds of class-balanced self-training beside a few labelled source images.',
    deviations=[
        'A batch holds equal numbers of source and target images; the code draws from their union.',
        'The 505-image list is replaced by its rule: the images with the best class-balanced '
        'score of our source model.',
        'Thresholds come from histograms and lie at most 6.1e-5 below the sorted ones.',
    ],
    choices=[
        'Rank floor(p N) and equality kept, as in the code; the paper says round and strict.',
        'Short profiles: Adam at 1e-4, no scaling, crop or mining, a fifth of the source images.',
    ],
)
_subset = 'stage://subset/artifacts/subset.txt'


def _with_source(stage):
    """A stage of the source-free form, on the chosen target images and with source images."""
    name = stage['name']
    if not name.startswith('train'):
        # CBST-SP: prior='FILE.npy', made by `tools/prepare_data.py cbst-prior`
        writer = dict(stage['writer'], prior=None)
        return dict(stage, writer=writer, data=dict(type='target', sample_list=_subset))
    index = int(name[-1])
    source = dict(type='source', subset=dict(portion=0.03 + 0.0025 * index, seed=3 + index))
    return dict(
        stage,
        # batch 2 as one image of each; 505 + 3 % source images, two epochs, as published
        iters=2 * (552, 577, 602)[index],
        batch_size=1,
        data=dict(pair=dict(source=source, target=dict(stage['data'], sample_list=_subset))),
    )


stages = [
    dict(
        name='subset',
        kind='label',
        batch_size=4,
        input_size=None,
        adapter=dict(type='ProbabilityPredictor', scale=1.0, flip=False),
        writer=dict(type='BalancedScoreWriter', portion=505 / 2975),
    )
]
for _stage in _base_.stages:
    stages.append(_with_source(_stage))
_fifth = dict(batch_size=2, data=dict(pair=dict(source=dict(subset=dict(portion=0.2)))))
profiles = dict(
    paper=dict(subset=dict(batch_size=1, adapter=dict(scale=0.9, flip=True))),
    pocket=dict(train0=_fifth, train1=_fifth, train2=_fifth),
)
skip = dict(cityscapes_to_camvid='the source images are not at hand in this suite')
