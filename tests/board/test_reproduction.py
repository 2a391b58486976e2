"""Every reported number gets an answer, and the right one."""

import json

import numpy as np
import pytest

from sfda_bench.board.basis import DECIDING
from sfda_bench.board.boards import make_boards
from sfda_bench.board.fields import SETTINGS, selector
from sfda_bench.board.loading import load_items
from sfda_bench.board.reported import UNKNOWN, load_all
from sfda_bench.board.reproduction import Question, answers, missing, questions
from sfda_bench.networks.declare import for_task
from sfda_bench.plan import catalog
from sfda_bench.plan.entry import scoring_of
from sfda_bench.plan.method import Method
from sfda_bench.scoring.protocols import load_scoring, names, split_ref
from sfda_bench.scoring.scores import score
from sfda_bench.store.record import Record, counts_digest, save_record

ASKED = questions(load_all())
JUDGEABLE = [question for question in ASKED if question.judgeable]


def exact_counts(value, scoring, images=4, pixels=100_000):
    """Counts of equal images in which every class has an IoU of ``value`` percent."""
    labels = len(load_scoring(scoring).labels)
    counts = np.zeros((images, labels, labels + 1), np.uint32)
    hit = round(pixels * value / 100)
    counts[:, range(labels), range(labels)] = hit
    counts[:, :, labels] = pixels - hit  # void, so that no other class is wrong
    return counts


def simulate(folder, question, value):
    """Records of three seeds that say just ``value`` for a reported row; their boards.

    A row that leaves its test open is measured under each.
    """
    for told in {told.inference: told for told in question.meant}.values():
        _simulate(folder, told, value)
    return make_boards(load_items(folder), 50)


def _simulate(folder, told, value):
    ours = selector(told)
    card = Method(ours.name).card
    counts = exact_counts(value, told.scoring)
    ids = [f'frame_{i}' for i in range(len(counts))]
    tags = ['fog', 'night', 'rain', 'snow'] if 'acdc' in told.task_id else [''] * 4
    network = for_task(catalog.load('networks', told.network), told.task_id)['network']
    own = scoring_of(network, catalog.load('tasks', told.task_id)['task'])
    scores = score(counts, tags, own)
    spaces = [load_scoring(name) for name in names('scoring')]
    others = [p for p in spaces if p.label_space == own.label_space and p.ref != own.ref]
    scored = {p.ref: score(counts, tags, p).miou for p in others}
    conventions = {ref: value for ref, value in scored.items() if value is not None}
    for seed in range(3):
        entry = dict(
            suite='reproduce', task=told.task_id, network=told.network, method=ours.name,
            params=ours.params, seed=seed, inference=split_ref(told.inference)[0],
        )  # fmt: skip
        record = Record(
            entry=entry, profile='paper', track=card.track, setting=card.setting,
            fidelity=card.fidelity, inference_protocol=told.inference,
            scoring_protocol=own.ref, stages=[dict(name='a', kind='adapt', id='0' * 12)],
            scores=scores.record_fields(), counts_file='x.npz',
            counts_sha256=counts_digest(counts, ids, tags),
            source=dict(
                stage_id='s', sha256='0' * 64, origin='o', miou=1.0, published=told.checkpoint
            ),
            data={}, code=dict(fingerprint='c', commit=None, dirty=None), versions={},
            hardware={}, cost=dict(wall_seconds=1.0, images_per_second=1.0, peak_memory_mb=1.0),
            guard=dict(verdict='sealed'), created='2026-01-01T00:00:00Z',
            curve=[
                dict(iteration=1, miou=1.0, conventions=dict.fromkeys(conventions, 1.0)),
                dict(iteration=2, miou=scores.miou, conventions=conventions),
            ],
        )  # fmt: skip
        record.counts_file = f'{record.entry.slug}.npz'
        save_record(record, counts, ids, tags, folder)


def test_every_reported_mean_is_asked_for():
    assert len(ASKED) == len({question.id for question in ASKED}) >= 280
    assert sum(question.complete for question in ASKED) >= 120


def words_at_the_value(question):
    """What a measurement at the reported value is called."""
    readings = len(question.meant) * (2 if question.told.selection == UNKNOWN else 1)
    return {1: 'reproduced', 2: 'inside both readings'}.get(readings, 'inside all readings')


@pytest.mark.parametrize('question', JUDGEABLE, ids=lambda q: q.id)
def test_a_measurement_at_the_reported_value_is_told_so_and_one_far_below_too(tmp_path, question):
    told = question.told
    boards = simulate(tmp_path / 'at', question, told.value)
    (found,) = answers([question], boards)
    assert found.verdict.word == words_at_the_value(question)
    for unknown in without_a_field(question):
        (found,) = answers([unknown], boards)
        assert found.verdict.word != 'reproduced', unknown.told
    (found,) = answers([question], simulate(tmp_path / 'under', question, max(told.value - 5, 0)))
    assert found.verdict.word == 'below'


def without_a_field(question):
    """A judgeable row, each of its deciding fields unknown in turn."""
    absent = dict(network=None, classes=None)
    for field in DECIDING:
        told = question.told.model_copy(update={field: absent.get(field, UNKNOWN)})
        file = question.file.model_copy(update={'rows': (told,)})
        yield from questions({question.file.method: file})


def test_what_is_not_judgeable_never_gets_a_verdict(tmp_path):
    """Whatever is measured: every question with something missing, at its very value."""
    boards = []
    for question in JUDGEABLE[:3]:
        boards += simulate(tmp_path / question.id, question, question.told.value)
    for answer in answers([q for q in ASKED if q.missing], boards):
        assert answer.verdict.word == 'not comparable' and answer.verdict.reason and not answer.row


def test_a_reported_row_may_be_measured_by_a_chain(tmp_path):
    """Another init, or none, is no answer to it; one that is not here is named."""
    question = next(q for q in JUDGEABLE if q.id == 'iapc:0')
    told = question.told.model_copy(update={'run': 'iapc[init=tent[iters=5]]'})
    chain = Question('iapc:x', question.file, told, tuple(missing(told, question.file)))
    assert chain.judgeable and selector(told).params == {'init': 'tent[iters=5]'}
    boards = simulate(tmp_path / 'chain', chain, told.value)
    assert answers([chain], boards)[0].row.title.endswith('after Tent (offline) [iters=5]')
    assert answers([chain], simulate(tmp_path / 'own', question, told.value))[0].row is None
    assert answers([question], boards)[0].row is None
    absent = told.model_copy(update={'run': 'iapc[init=tent[init=nowhere]]'})
    assert 'method nowhere not built here' in missing(absent, question.file)


OPEN = [question for question in JUDGEABLE if question.open]


def test_a_field_left_open_is_read_every_way_and_stays_unknown():
    found = {question.id: question for question in OPEN}
    assert {told.inference for told in found['crst:2'].meant} == {
        'crst_native_flip@1', 'crst_test_0912f@1'
    }  # fmt: skip
    assert {(t.scoring, t.classes) for t in found['atp:6'].meant} == {
        ('synthia13_avg@1', 13), ('synthia16_avg@1', 16)
    }  # fmt: skip
    assert found['atp:6'].open == ('scoring', 'classes')
    for question in OPEN:
        assert not question.complete and len(question.meant) == 2


def test_one_of_two_tests_fits_and_both_must_be_measured(tmp_path):
    question = next(q for q in OPEN if q.id == 'crst:2')
    flip, scales = question.meant
    value = question.told.value
    _simulate(tmp_path, flip, value - 5)
    boards = make_boards(load_items(tmp_path), 50)
    (found,) = answers([question], boards)
    assert found.verdict.word == 'not run', 'the other test might give the number'
    _simulate(tmp_path, scales, value)
    (found,) = answers([question], make_boards(load_items(tmp_path), 50))
    assert found.verdict.word == 'inside some readings'
    assert 'inference protocol, checkpoint selection unknown' in found.verdict.reason
    assert 'crst_test_0912f@1 last and crst_test_0912f@1 best fit' in found.verdict.reason
    assert found.verdict.difference == pytest.approx(0)


def test_a_single_candidate_is_a_guess_and_opens_nothing():
    (script,) = [q for q in ASKED if q.id == 'crst:14']
    evidence = script.file.evidence(script.told, 'inference')
    assert len(evidence.candidates) == 1 and not script.open
    assert 'inference protocol unknown' in script.missing


def test_synthia_numbers_of_sixteen_outputs_void_the_other_three_classes():
    """As the papers say that train such a network; `avg` counts what it cannot name as errors."""
    masked = {16: 'synthia16_masked@1', 13: 'synthia13_masked16@1'}
    task = catalog.load('tasks', 'synthia_to_cityscapes')['task']
    seen = set()
    for question in JUDGEABLE:
        told = question.told
        if told.task_id != task['name']:
            continue
        network = for_task(catalog.load('networks', told.network), told.task_id)['network']
        if network.get('classes') == 'synthia16':
            assert told.scoring == masked[told.classes], question.id
            assert scoring_of(network, task).ref == masked[16]
            seen.add((told.network, told.classes))
        else:
            assert scoring_of(network, task).ref == 'synthia16_avg@1'
    assert {('deeplabv2_r101', 13), ('deeplabv2_r101_multi', 16)} <= seen


def test_a_published_checkpoint_is_judged_on_the_network_that_starts_from_it():
    (cgnet,) = [q for q in ASKED if q.id == 'cgnet:0']
    assert cgnet.judgeable and cgnet.told.checkpoint
    file = cgnet.file.model_copy(
        update={'rows': (cgnet.told.model_copy(update={'checkpoint': 'b' * 64}),)}
    )
    (other,) = questions({'cgnet': file})
    assert other.missing == ('network cgnet_camvid does not start from the published checkpoint',)


def test_a_source_model_without_a_hash_is_named_or_said_not_to_be_published():
    sources = [q for q in ASKED if q.told.setting == 'source' and not q.told.checkpoint]
    reasons = {q.id: [m for m in q.missing if m.startswith('source model')] for q in sources}
    assert all(len(found) == 1 for found in reasons.values())
    assert 'GTA5_HCL_source.pth' in reasons['source_only:13'][0]
    assert reasons['source_only:10'] == ['source model: no published checkpoint known']


def test_what_is_measured_by_a_method_of_another_setting_is_not_an_answer():
    for question in JUDGEABLE:
        track = Method(selector(question.told).name).card.track
        assert SETTINGS.get(track, 'source-free') == question.told.setting, question.id


def test_questions_can_be_written_as_json():
    text = json.dumps([dict(id=q.id, missing=q.missing, judgeable=q.judgeable) for q in ASKED])
    assert '"iapc:0"' in text
