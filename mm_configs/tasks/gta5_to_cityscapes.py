# GTA5 -> Cityscapes: 19 classes; adapt on train (2 975 images), score on val (500).
task = dict(
    name='gta5_to_cityscapes',
    title='GTA5 -> Cityscapes',
    source=dict(type='GTA5Dataset', folder='gta5', split='train'),
    target_train=dict(type='CityscapesDataset', folder='cityscapes', split='train'),
    target_val=dict(type='CityscapesDataset', folder='cityscapes', split='val'),
    label_space='cityscapes19',
    prediction_map=None,
    scoring='cityscapes19',
    extra_scoring=[],
)
