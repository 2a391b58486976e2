# ATP up to stage 'align': its stages are those of atp, so they are run once for both.
_base_ = './atp.py'
card = dict(
    name='atp_align',
    mechanisms=['entropy'],
    title='ATP, up to align',
    summary='ATP: the first stage alone, curriculum entropy and diversity.',
)
stages = _base_.stages[:1]
