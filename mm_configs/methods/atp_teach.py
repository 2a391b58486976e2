# ATP up to stage 'teach': its stages are those of atp, so they are run once for both.
_base_ = './atp.py'
card = dict(
    name='atp_teach',
    mechanisms=['entropy', 'mean teacher', 'pseudo-labels'],
    title='ATP, up to teach',
    summary='ATP: the first two stages, up to positive and negative labels.',
)
stages = _base_.stages[:2]
