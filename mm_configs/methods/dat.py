# A descendant of CoTTA that trains few tensors; `dat_continual` has the rounds.
_base_ = './cotta.py'
card = dict(
    name='dat',
    title='DAT',
    reported='dat',
    reported_label='DAT',
    track='test-time',
    mechanisms=['mean teacher', 'pseudo-labels'],
    setting='online',
    predict_on='teacher',
    fidelity='reconstructed',
    summary="CoTTA's labels train only the tensors on which unsure and sure pixels have the "
    'largest gradients, chosen anew in each condition.',
    paper='Ni et al., Distribution-Aware Continual Test-Time Adaptation for Semantic Segmentation, '
    'arXiv 2023',
    arxiv='2309.13604',
    code='https://github.com/RochelleNi/DAT',
    bibtex='',
    deviations=[
        *_base_.card.deviations[1:2],
        'Each loss chooses one tensor an image (adapter.tensors): the code takes a thousandth of '
        'all, which is one on SegFormer-B5 and none, an error, on networks of fewer than 1,000.',
        'After the search the loss of the unsure pixels is not computed: its gradients reach no '
        'tensor that is stepped.',
    ],
    choices=[
        "'Uncertainty' in code and paper is the source model's greatest probability: a confidence.",
        'What was chosen before an image moves by the loss of the sure pixels alone, as the code '
        'clears gradients; that of the unsure ones only chooses.',
        'An optimiser of its own for each image makes every step rate times sign of the gradient.',
        'The rate halves from round to round, as driver and log have it; users quote 3e-4.',
        'Like CoTTA it is told where the condition or the round changes, and chooses anew there.',
        'Pocket and CamVid profiles: a teacher momentum of 0.95 for streams that are shorter than '
        'the memory of 0.999, the published rate, and a search of 20 images; unsearched.',
    ],
)
_cotta = _base_.stages[0]
stages = [
    dict(
        _cotta,
        several_views='DATFileViews',
        adapter=dict(
            _cotta['adapter'],
            type='DAT',
            restore=0.0,
            ratios=[1.0, 1.25, 1.5],
            low=0.85,
            high=0.99,
            search=100,
            tensors=1,
            rate_decay=0.5,
        ),
        optim_wrapper=dict(
            type='OptimWrapper', optimizer=dict(type='Adam', lr=2.5e-4, betas=(0.9, 0.999))
        ),
    ),
]
_short = dict(stream=dict(adapter=dict(search=20, teacher=dict(momentum=0.95))))
profiles = dict(paper=dict(), pocket=_short, camvid=_short)
search = dict(axes={'optimizer.lr': 'log(0.1, 4)', 'adapter.tensors': '[1, 4, 16]'})
