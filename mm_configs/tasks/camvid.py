# CamVid itself, without a shift: networks of 11 outputs that were trained on its own images. Its
# scores are of published checkpoints; there is nothing to adapt to.
task = dict(
    name='camvid',
    title='CamVid',
    source=dict(type='CamVidDataset', folder='camvid', split='train'),
    target_train=dict(type='CamVidDataset', folder='camvid', split='train'),
    target_val=dict(type='CamVidDataset', folder='camvid', split='test'),
    label_space='camvid11',
    prediction_map=None,
    scoring='camvid11',
    extra_scoring=[],
)
