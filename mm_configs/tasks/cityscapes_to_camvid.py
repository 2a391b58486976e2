# Cityscapes -> CamVid: adapt on the 367 unlabelled training images, score on the 233 test images.
# Networks predict 19 classes; the arg-max over 19 is taken first and then mapped to CamVid's 11.
task = dict(
    name='cityscapes_to_camvid',
    title='Cityscapes -> CamVid',
    source=dict(type='CityscapesDataset', folder='cityscapes', split='train'),
    target_train=dict(type='CamVidDataset', folder='camvid', split='train'),
    target_val=dict(type='CamVidDataset', folder='camvid', split='test'),
    label_space='camvid11',
    # road ... bicycle -> sky, building, pole, road, pavement, tree, sign, fence, car, pedestrian,
    # bicyclist
    prediction_map=[3, 4, 1, 1, 7, 2, 6, 6, 5, 5, 0, 9, 10, 8, 8, 8, 8, 10, 10],
    scoring='camvid11',
    extra_scoring=[],
)
