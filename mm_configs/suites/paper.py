# The literature's tasks at full size; needs the data sets and a GPU.
suite = dict(
    name='paper',
    title='Full data sets',
    tasks=['gta5_to_cityscapes', 'synthia_to_cityscapes', 'cityscapes_to_acdc'],
    networks=['deeplabv2_r101'],
    seeds=[0, 1, 2],
    profile='paper',
    inference='dlv2_caffe',
    # (width, height) of training images; specs of the AdaptSegNet line.
    input_size=dict(gta5=(1280, 720), synthia=(1280, 760), cityscapes=(1024, 512), acdc=(960, 540)),
)
