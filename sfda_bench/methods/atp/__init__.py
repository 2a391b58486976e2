"""ATP: align, teach and propagate, three stages of curriculum-style self-training; the black box.

Wang, Liang, Zhang: A Curriculum-style Self-training Approach for Source-Free Semantic Segmentation,
TPAMI 2024, arXiv 2106.11653; code yxiwang/ATP @ f84a4ae. The paper's body was not at hand.

Faithful: every loss and constant of the code, whose functions' values the tests repeat. Options
follow what abstract and figure say beyond the code: threshold on positive labels, negative labels
below it only, frozen classifier, detached curriculum. Known bugs are switches, off by default.
Deviates: no source image is loaded (in the code they only supply normalisation constants); kornia's
present colour jitter; one draw of the classes to paste from torch's generator.

One file a stage: ``distil`` (black box only), ``align``, ``teach``, ``rank``, ``propagate``.
"""
