# CGNet (M3N21) with 11 outputs, trained on CamVid's training and validation images by its authors.
_base_ = './cgnet.py'

network = dict(
    name='cgnet_camvid',
    title='CGNet (M3N21), trained on CamVid',
    input=dict(mean=[105.66, 103.33, 99.63]),
    num_classes=11,
    inference=['camvid'],
    source=dict(
        _delete_=True,
        checkpoint='weights/cgnet_m3n21_camvid_original_keys.pth',
        sha256='7a3984161601abc70a8de6d6a1f04c9ae254463684d43537075a846d980db145',
        converter='cgnet',
        origin='CGNet repository, MIT: CGNet_M3N21bs8gpu1_ontrainval/model_800.pth',
        expected=dict(camvid=dict(expected=65.42, tolerance=0.5)),
        trained_on='camvid',
    ),
)

model = dict(data_preprocessor=dict(mean=[105.66, 103.33, 99.63]), decode_head=dict(num_classes=11))
