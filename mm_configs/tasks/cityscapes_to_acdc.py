# Cityscapes -> ACDC: adapt on the 1 600 training images of all four conditions, score on val (406);
# the labels of the 2 000 test images are withheld.
task = dict(
    name='cityscapes_to_acdc',
    title='Cityscapes -> ACDC',
    source=dict(type='CityscapesDataset', folder='cityscapes', split='train'),
    target_train=dict(type='ACDCDataset', folder='acdc', split='train'),
    target_val=dict(type='ACDCDataset', folder='acdc', split='val'),
    label_space='cityscapes19',
    prediction_map=None,
    scoring='acdc19',
    extra_scoring=[],
    # Conditions as they follow each other at test time (the order of continual adaptation papers).
    stream_order=['fog', 'night', 'rain', 'snow'],
)
