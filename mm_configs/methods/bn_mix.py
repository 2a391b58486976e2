# Batch-norm statistics between the source's and the target's, gathered offline.
# `bn_mix[source_weight=0]` is bn_adapt, `bn_mix[source_weight=1]` the source model.
_base_ = './bn_adapt.py'

card = dict(
    name='bn_mix',
    mechanisms=['statistics'],
    title='BN mixing',
    fidelity='reconstructed',
    summary="Batch-norm statistics of the target mixed with the source's; no gradient.",
    paper='Schneider et al., Improving Robustness against Common Corruptions by Covariate Shift '
    'Adaptation, NeurIPS 2020',
    arxiv='2006.16971',
    code='https://github.com/bethgelab/robustness',
    deviations=[
        'Offline form, ours: the target statistics are gathered over one pass of the training '
        'images with every layer normalised by its batch, and mixed afterwards. All published '
        'forms mix inside the forward pass, layer by layer: Schneider et al. with the test batch '
        'at a share N / (N + n) for the source, N without a default; alpha-BN with the test batch '
        'at 0.9; CBNA and DIGA with one image at 0.8; OCL with an image and its mirror image at '
        '0.85.',
        'The target variance is the mean of unbiased batch variances, as the full-set form of '
        "Schneider et al. has it; DIGA's is biased. The mixture is linear, without the spread "
        'between the two means.',
    ],
    choices=[
        'A share of 0.5: as many pseudo-samples as images (N = n), stated before anything was run '
        'and without labels. The published shares of 0.8 to 0.9 are for the statistics of one '
        'image or batch, which vary more than those of a whole set.',
        'The share of 0.75 had been seen to score well on CamVid with labels, so it is not the '
        'default; a sweep chooses among the shares by a validator without labels.',
    ],
)
_stage = _base_.stages[0]
stages = [dict(_stage, adapter=dict(_stage['adapter'], source_weight=0.5))]
# from 0.1 to 0.95
search = dict(axes={'source_weight': 'log(0.2, 1.9)', 'iters': 'times(0.5, 1)'})
