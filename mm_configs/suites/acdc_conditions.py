# One model for each adverse condition, as ATP's code trains them; with and without its class prior:
# --method atp 'atp[class_prior_rescale=true]'. Needs the data sets and a GPU.
suite = dict(
    name='acdc_conditions',
    title='ACDC, one model a condition',
    tasks=[
        'cityscapes_to_acdc_fog',
        'cityscapes_to_acdc_night',
        'cityscapes_to_acdc_rain',
        'cityscapes_to_acdc_snow',
    ],
    networks=['daformer_b5'],
    seeds=[0],
    profile='paper',
    inference='acdc_daformer',
    input_size=dict(cityscapes=(1280, 640), acdc=(960, 540)),
)
