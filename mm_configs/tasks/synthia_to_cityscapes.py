# SYNTHIA -> Cityscapes: 16 classes in the source. Counts are kept over all 19, so that every
# convention of the literature (averages of 16 or 13, masked, recomputed) follows from one run.
# lane_marking: 'ignore' is the table of the literature, in which raw id 22 does not appear; 'road'
# reads it as road.
task = dict(
    name='synthia_to_cityscapes',
    title='SYNTHIA -> Cityscapes',
    source=dict(type='SynthiaDataset', folder='synthia', split='train', lane_marking='ignore'),
    target_train=dict(type='CityscapesDataset', folder='cityscapes', split='train'),
    target_val=dict(type='CityscapesDataset', folder='cityscapes', split='val'),
    label_space='cityscapes19',
    prediction_map=None,
    scoring='synthia16_avg',
    extra_scoring=['synthia16_masked', 'synthia13_avg', 'synthia13_recomputed', 'cityscapes19'],
)
