card = dict(
    name='advent',
    title='AdvEnt',
    reported_label='AdvEnt',
    track='uda',
    mechanisms=['entropy', 'adversarial'],
    fidelity='official',
    summary='Adversarial alignment of the self-information of source and target predictions.',
    paper='Vu et al., ADVENT: Adversarial Entropy Minimization for Domain Adaptation in Semantic '
    'Segmentation, CVPR 2019',
    arxiv='1811.12833',
    code='https://github.com/valeoai/ADVENT',
    deviations=[
        'Short profiles start from the source model (init=last); the paper profile from the '
        "network's ImageNet-type weights (init=initial), random ones where it declares none.",
        'The last iterate instead of the best on the validation labels.',
        'One output where the network has no auxiliary head.',
    ],
    choices=[
        'Backbone weights are stepped three times an iteration (paper profile), as the code does '
        'under a current PyTorch. The SGD of PyTorch 0.4 to 1.7 shares the momentum buffer of '
        'repeated weights from the first update on, which goes 1.4 to 2.1 times as far there; '
        'after about eight iterations both are equal.',
        'Short profiles: in 40 iterations the loss hardly shows. A weight of 1e-12 gives the same '
        'mIoU to 0.003; a weight of 0, where no target image passes the network, 24.0 instead of '
        '33.7 (pocket, gta5_to_cityscapes, seed 0): the gain is that of batch norm.',
        'That AdvEnt equals MinEnt on the pocket suite is genuine: in their own code, too, the two '
        'differ by 1.7e-4 of the way of the weights at the published loss weight of 0.001, and by '
        '19 % at 1.0.',
    ],
)
stages = [
    dict(
        name='adapt',
        # its own training step, with batches of one and one: never shared by devices
        single_device=True,
        init='last',
        adapter=dict(
            type='AdvEnt',
            losses=dict(
                segmentation=dict(type='PseudoLabelLoss', loss_weight=1.0),
                segmentation_auxiliary=dict(type='PseudoLabelLoss', loss_weight=0.1),
                adversarial_main=dict(type='DomainLoss', domain='source', loss_weight=0.001),
                adversarial_auxiliary=dict(type='DomainLoss', domain='source', loss_weight=0.0002),
                discrimination=dict(type='DiscriminationLoss', loss_weight=1.0),
            ),
            norm_mode='train',
        ),
        data=dict(pair=dict(source='source', target='target')),
        iters=120000,
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
        # the horizon is 250 000 although training stops at 120 000; SYNTHIA: 90 000 for both
        param_scheduler=[dict(type='PolyLR', power=0.9, eta_min=0.0, begin=0, end=250001)],
    ),
]
_student = dict(_delete_=True, type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4))
_whole = [dict(type='PolyLR', power=0.9, eta_min=0.0, begin=0)]
_wrapper = dict(student=_student)
aliases = dict(
    adversarial_main='losses.adversarial_main.loss_weight',
    adversarial_auxiliary='losses.adversarial_auxiliary.loss_weight',
    segmentation_auxiliary='losses.segmentation_auxiliary.loss_weight',
)
# The multi-level network of the papers.
networks = dict(paper=['deeplabv2_r101_multi'])
profiles = dict(
    paper=dict(
        adapt=dict(
            init='initial',
            overrides=dict(synthia_to_cityscapes=dict(iters=90000, param_scheduler=_whole)),
        )
    ),
    camvid=dict(),
    pocket=dict(adapt=dict(iters=40, batch_size=2, optim_wrapper=_wrapper, param_scheduler=_whole)),
)
skip = dict(cityscapes_to_camvid='the source images are not at hand in this suite')
