# A network trained on Cityscapes, adapted to CamVid's 367 unlabelled training images: small, real,
# and source-free as it happens in practice (the source data are not needed at all).
suite = dict(
    name='camvid',
    title='Cityscapes -> CamVid (real, 480 x 360)',
    tasks=['cityscapes_to_camvid'],
    networks=['cgnet'],
    seeds=[0],
    # There are no source data here.
    tracks=['bound', 'source-free', 'black-box', 'test-time'],
    profile='camvid',
    inference='camvid',
    curve_points=1,
)
