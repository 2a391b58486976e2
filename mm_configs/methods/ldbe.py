# Two rounds of LD, which are the stages of `ld`, then two rounds of boundary enhancement.
_base_ = './ld.py'

card = dict(
    name='ldbe',
    mechanisms=['pseudo-labels', 'mean teacher'],
    title='LDBE',
    reported_label='LDBE',
    summary='LD, then two rounds of self-training on mixed images with a mean teacher.',
    deviations=[
        *_base_.card.deviations,
        'Boundary enhancement is in the released code and its figure; whether any print describes '
        'it is not known.',
        'The average of the second round starts from the network of the first, not from the '
        "first round's average.",
        'A batch whose cross-entropy is 0 everywhere has a loss of 0, not 0/0.',
    ],
    choices=[
        'Boundary enhancement has the portions, rates and rounds of LD, which the last upload '
        'suggests and nothing states.',
        "The teacher is fed the clean crops, as in the code; the repository's figure draws the "
        'mixed ones.',
        'The student is scored; the teacher is the plain mean of the student after the first 100 '
        'steps, then an average of momentum 0.99, of parameters alone.',
        *_base_.card.choices[:-1],
        'Short profiles: those of LD, twice.',
    ],
)

# as in `ld`
_of_ld = dict(
    type='LD',
    losses=dict(
        label=dict(type='PseudoLabelLoss', loss_weight=1.0),
        entropy=dict(type='DoubleSoftmaxEntropyLoss', loss_weight=1.0, entropy='double_softmax'),
        negative=dict(type='MiddleClassLoss', loss_weight=1.0, spread=3),
    ),
    projection_affine=True,
    norm_mode='train',
    dropout=False,
)
_mixed = dict(
    type='LDBE',
    losses=dict(mixed=dict(type='ConfidentImageLoss', loss_weight=1.0, confident=0.97)),
    projection_affine=True,
    teacher_mode='train',
    predict_on='student',
    norm_mode='train',
    dropout=False,
)
_teacher = dict(
    teacher=dict(type='LateTeacherHook', momentum=0.99, warmup='dacs', buffers='skip', interval=1)
)
rounds = dict(
    count=4,
    values=dict(
        portion=[*_base_.rounds['values'].portion, *_base_.rounds['values'].portion],
        rate=[*_base_.rounds['values'].rate, *_base_.rounds['values'].rate],
        adapter=[_of_ld, _of_ld, _mixed, _mixed],
        hooks=[dict(), dict(), _teacher, _teacher],
        # neighbours are those of one device's batch
        alone=[False, False, True, True],
    ),
    stages=dict(train=dict(adapter='{adapter}', hooks='{hooks}', single_device='{alone}')),
)
_off = dict(enabled=False)
profiles = dict(
    paper=dict(rounds=4),
    pocket=dict(rounds=4),
    # one round of each
    camvid=dict(rounds=3, threshold1=_off, label1=_off, train1=_off),
)
search = dict(_delete_=True, axes={'optimizer.lr': 'log(0.1, 10)', 'confident': 'log(0.9, 1.03)'})
