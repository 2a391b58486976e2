# The literature's tasks at full size; needs the data sets and a GPU. A method whose paper uses
# another of these networks says so (`networks` in its config) and runs on it by default.
suite = dict(
    name='paper',
    title='Full data sets',
    tasks=['gta5_to_cityscapes', 'synthia_to_cityscapes', 'cityscapes_to_acdc'],
    networks=['deeplabv2_r101'],
    more_networks=['deeplabv2_r101_multi', 'deeplabv2_r101_2branch', 'deeplabv2_r101_rgb'],
    seeds=[0, 1, 2],
    profile='paper',
    # an image is scored at the size that it is trained at
    inference=dict(
        gta5_to_cityscapes='dlv2_caffe',
        synthia_to_cityscapes='dlv2_caffe',
        cityscapes_to_acdc='acdc_dlv2_caffe',
    ),
    # CBST and CRST are tested as their code does, on images as they are
    network_inference=dict(deeplabv2_r101_rgb='crst_test_0912f'),
    # (width, height) of training images: the AdaptSegNet line's; ACDC as in the DAFormer line
    input_size=dict(gta5=(1280, 720), synthia=(1280, 760), cityscapes=(1024, 512), acdc=(960, 540)),
)
