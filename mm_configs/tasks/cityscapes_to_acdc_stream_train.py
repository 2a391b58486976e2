# Cityscapes -> ACDC as papers on continual test-time adaptation have it: the 400 training images of
# each condition are the stream, and their own labels score it, one matrix a condition.
task = dict(
    name='cityscapes_to_acdc_stream_train',
    title='Cityscapes -> ACDC, training images as a stream',
    source=dict(type='CityscapesDataset', folder='cityscapes', split='train'),
    target_train=dict(type='ACDCDataset', folder='acdc', split='train'),
    target_val=dict(type='ACDCDataset', folder='acdc', split='train'),
    label_space='cityscapes19',
    prediction_map=None,
    scoring='acdc19_mean_of_conditions',
    extra_scoring=['acdc19'],
    stream_order=['fog', 'night', 'rain', 'snow'],
)
