# Controls: `intrada[easy_portion=1.0]` (pure self-training),
# `intrada[adversarial_main=0.0,adversarial_auxiliary=0.0]` (no adversary),
# `intrada[init=initial,iters=120000]` (from ImageNet-type weights; the rate falls to 0 in these,
# while the paper stops at 120 000 of 250 000).
card = dict(
    name='intrada',
    title='IntraDA (source-free reading)',
    reported_label='IntraDA',
    track='source-free',
    mechanisms=['adversarial', 'pseudo-labels'],
    fidelity='reconstructed',
    summary='The target ranked by entropy; its hard images aligned to its easy, labelled ones.',
    paper='Pan et al., Unsupervised Intra-domain Adaptation for Semantic Segmentation through '
    'Self-Supervision, CVPR 2020',
    arxiv='2004.07703',
    code='https://github.com/feipanir/IntraDA',
    deviations=[
        'Our reading without source data: the source model ranks and labels, where the paper uses '
        'a model adapted with AdvEnt. No published number exists for it.',
        'Starts from the source model; the paper starts again from ImageNet-type weights.',
        'A horizon of 40 000 iterations instead of 120 000 of 250 000.',
        'The last iterate instead of the best on the validation labels.',
    ],
    choices=[
        'Entropy normalisation none | code | paper is a parameter; none by default.',
        'Initialisation is a parameter: init=last (source model, default) or initial (ImageNet).',
        'Backbone weights are stepped three times an iteration (paper profile), as the code does '
        'under a current PyTorch. The SGD of PyTorch 0.4 to 1.7 shares the momentum buffer of '
        'repeated weights from the first update on, which goes 1.4 to 2.1 times as far there; '
        'after about eight iterations both are equal.',
    ],
)
_labels = 'stage://rank/artifacts/labels'
stages = [
    dict(
        name='rank',
        kind='label',
        batch_size=4,
        adapter=dict(type='ProbabilityPredictor', scale=1.0, flip=False, at='input'),
        writer=dict(type='EntropyRankWriter', easy_portion=0.67, normalisation='none'),
    ),
    dict(
        name='intra',
        # its own training step, with batches of one and one: never shared by devices
        single_device=True,
        init='last',
        adapter=dict(
            type='IntraDA',
            losses=dict(
                segmentation=dict(type='PseudoLabelLoss', loss_weight=1.0),
                segmentation_auxiliary=dict(type='PseudoLabelLoss', loss_weight=0.1),
                adversarial_main=dict(type='DomainLoss', domain='source', loss_weight=0.001),
                adversarial_auxiliary=dict(type='DomainLoss', domain='source', loss_weight=0.0002),
                discrimination=dict(type='DiscriminationLoss', loss_weight=1.0),
            ),
            norm_mode='train',
            split='stage://rank/artifacts/split.json',
        ),
        data=dict(
            pair=dict(
                easy=dict(
                    type='target', labels=_labels, sample_list='stage://rank/artifacts/easy.txt'
                ),
                hard=dict(type='target', sample_list='stage://rank/artifacts/hard.txt'),
            )
        ),
        iters=40000,
        batch_size=1,
        crop_size=None,
        flip=False,
        optim_wrapper=dict(
            constructor='SubmoduleOptimWrapperConstructor',
            student=dict(
                type='OptimWrapper',
                constructor='RepeatOptimWrapperConstructor',
                optimizer=dict(type='SGD', lr=2.5e-4, momentum=0.9, weight_decay=5e-4),
                paramwise_cfg=dict(
                    backbone_repeat=3,
                    custom_keys=dict(
                        decode_head=dict(lr_mult=10.0), auxiliary_head=dict(lr_mult=10.0)
                    ),
                ),
            ),
            discriminators=dict(
                type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4, betas=(0.9, 0.99))
            ),
        ),
        param_scheduler=[dict(type='PolyLR', power=0.9, eta_min=0.0, begin=0)],
    ),
]


aliases = dict(
    adversarial_main='losses.adversarial_main.loss_weight',
    adversarial_auxiliary='losses.adversarial_auxiliary.loss_weight',
    segmentation_auxiliary='losses.segmentation_auxiliary.loss_weight',
)
# The multi-level network of the papers.
networks = dict(paper=['deeplabv2_r101_multi'])
_short = dict(
    intra=dict(
        iters=40,
        batch_size=2,
        optim_wrapper=dict(
            student=dict(_delete_=True, type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4))
        ),
    )
)
profiles = dict(paper=dict(rank=dict(batch_size=1)), pocket=_short, camvid=_short)
