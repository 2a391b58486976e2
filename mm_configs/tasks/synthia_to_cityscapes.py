# SYNTHIA -> Cityscapes: 16 classes in the source. Counts are kept over all 19, so that every
# convention of the literature (averages of 16 or 13, masked, recomputed) follows from one run.
# lane_marking: 'ignore' is the table of the literature, in which raw id 22 does not appear; 'road'
# reads it as road. A network of 16 outputs cannot name the other three: their truth is void, as in
# the papers that train one; 13 classes are then a mean over the same matrix (synthia13_masked16).
task = dict(
    name='synthia_to_cityscapes',
    title='SYNTHIA -> Cityscapes',
    source=dict(type='SynthiaDataset', folder='synthia', split='train', lane_marking='ignore'),
    target_train=dict(type='CityscapesDataset', folder='cityscapes', split='train'),
    target_val=dict(type='CityscapesDataset', folder='cityscapes', split='val'),
    label_space='cityscapes19',
    prediction_map=None,
    scoring='synthia16_avg',
    class_scoring=dict(synthia16='synthia16_masked'),
    extra_scoring=[
        'synthia16_masked',
        'synthia13_avg',
        'synthia13_masked16',
        'synthia13_recomputed',
        'cityscapes19',
    ],
)
