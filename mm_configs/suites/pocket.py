# The pocket suite: three tasks on rendered streets, minutes on a laptop. It checks the machinery
# and catches regressions; its numbers say nothing about a method on real images.
suite = dict(
    name='pocket',
    title='Pocket world (rendered, 96 x 192)',
    tasks=['gta5_to_cityscapes', 'synthia_to_cityscapes', 'cityscapes_to_acdc'],
    networks=['deeplabv2_pocket'],
    more_networks=['segformer_pocket'],
    seeds=[0],
    # Methods that read source data run when they are named: --method '*_uda' advent
    tracks=['bound', 'source-free', 'black-box', 'test-time'],
    # What `make suite` and the regression check run; --all adds the others.
    default_methods=[
        'source_only', 'oracle', 'bn_adapt', 'tent', 'self_training', 'cbst', 'crst_mrkld',
        'crst_lrent', 'intrada', 'atp_align', 'atp_teach', 'atp', 'atp_blackbox', 'stvm', 'iapc',
        'bn_adapt_online', 'bn_adapt_episodic', 'bn_adapt_continual', 'tent_online',
        'tent_episodic', 'tent_continual',
    ],
    # A network without batch norm, on one task: what helps only through batch norm has no row here,
    # or no gain. On other tasks, and beside a named method, it runs when it is named:
    # --network segformer_pocket
    default_runs=dict(
        segformer_pocket=dict(
            tasks=['gta5_to_cityscapes'],
            methods=[
                'source_only', 'oracle', 'bn_adapt', 'tent', 'cbst', 'intrada', 'atp_align', 'atp',
                'stvm', 'iapc', 'tent_online',
            ],
        ),
    ),
    profile='pocket',
    inference='pocket',
    renders=dict(),
)  # fmt: skip
