"""Streams from the suite's side: order, sealing, scoring of saved predictions, records, boards."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from mmseg.structures import SegDataSample
from PIL import Image

from sfda_bench.board.boards import make_boards
from sfda_bench.board.compare import compare
from sfda_bench.board.loading import load_items
from sfda_bench.board.pages import board_page
from sfda_bench.data.stream import arrange
from sfda_bench.engine.saved_predictions import SavedPredictions
from sfda_bench.errors import BenchError, DataError
from sfda_bench.run.seal.guard import landlock_available
from sfda_bench.store.filenames import COUNTS_NAME
from sfda_bench.store.record import load_counts, load_records

ACDC = 'cityscapes_to_acdc'
STILL = 'bn_adapt_online[momentum=0.0]'
needs_landlock = pytest.mark.skipif(not landlock_available(), reason='no Landlock in this kernel')


def infos(names: str, conditions: str) -> list[dict]:
    return [{'sample_id': n, 'condition': c} for n, c in zip(names, conditions, strict=True)]


def test_the_order_is_by_condition_then_by_file_and_repeats():
    found = arrange(infos('abcd', 'nfnf'), ['f', 'n', 'r'], 2)
    assert [item['sample_id'] for item in found[:4]] == [f'round1/{n}' for n in 'bdac']
    assert [item['sample_id'] for item in found[4:]] == [f'round2/{n}' for n in 'bdac']
    assert [item['position'] for item in found] == list(range(8))
    assert [item['round'] for item in found] == [1] * 4 + [2] * 4
    plain = arrange(infos('ba', 'nf'), None, 1)
    assert [item['sample_id'] for item in plain] == ['b', 'a']


def test_an_order_that_lacks_a_condition_is_refused():
    with pytest.raises(BenchError, match='each of f, n'):
        arrange(infos('ab', 'nf'), ['f', 'rain'], 1)
    with pytest.raises(BenchError, match='0 rounds'):
        arrange(infos('ab', 'nf'), None, 0)


@pytest.fixture(scope='module')
def ran(pocket_root: Path, tmp_path_factory: pytest.TempPathFactory):
    """Four streams and the source model on ACDC."""
    from tests.harness import Bench

    bench = Bench(pocket_root, tmp_path_factory.mktemp('stream'))
    selected = ['source_only', STILL, 'tent_online', 'tent_episodic', 'tent_continual[rounds=2]']
    plan = bench.plan(*selected, tasks=[ACDC])
    summary = bench.run(plan)
    assert summary.failures == []
    records = {record.entry.method: record for _, record in load_records(bench.records)}
    entries = {entry.key.method: entry for entry in plan.entries}
    return bench, entries, records


def test_a_stream_meets_the_conditions_in_the_order_of_the_task(ran):
    bench, entries, records = ran
    folder = bench.store.path(entries['tent_continual'].stages[1]) / 'artifacts'
    images = json.loads((folder / 'stream.json').read_text())['images']
    assert [item['condition'] for item in images[::2]] == ['fog', 'night', 'rain', 'snow'] * 2
    assert [item['round'] for item in images] == [1] * 8 + [2] * 8
    _, ids, conditions = load_counts(
        bench.store.path(entries['tent_continual'].stages[2]) / COUNTS_NAME
    )
    assert ids == [item['sample_id'] for item in images] and len(set(ids)) == 16
    assert conditions == [item['condition'] for item in images]
    with Image.open(folder / images[0]['file']) as image:
        labels = np.asarray(image)
    assert labels.dtype == np.uint8 and labels.shape == (48, 96) and labels.max() < 19
    scores = records['tent_continual'].scores
    assert set(scores.per_round) == {1, 2} and scores.images == 16
    assert set(scores.per_round_condition[2]) == {'fog', 'night', 'rain', 'snow'}


def test_saved_predictions_of_the_source_model_score_as_the_source_model(ran):
    bench, entries, records = ran
    direct, ids, _ = load_counts(bench.store.path(entries['source_only'].stages[-1]) / COUNTS_NAME)
    saved, order, _ = load_counts(
        bench.store.path(entries['bn_adapt_online'].stages[-1]) / COUNTS_NAME
    )
    assert sorted(order) == ids
    places = [order.index(name) for name in ids]
    assert np.array_equal(saved[places], direct)
    assert records['bn_adapt_online'].scores.miou == records['source_only'].scores.miou
    assert records['tent_online'].scores.miou != records['source_only'].scores.miou


def test_an_episodic_image_does_not_know_its_place(ran):
    bench, entries, _ = ran
    plan = bench.plan("tent_episodic[order=['snow','rain','night','fog']]", tasks=[ACDC])
    assert bench.run(plan).failures == []
    found = []
    for entry in (entries['tent_episodic'], plan.entries[0]):
        folder = bench.store.path(entry.stages[1]) / 'artifacts'
        listed = json.loads((folder / 'stream.json').read_text())['images']
        maps = {item['sample_id']: (folder / item['file']).read_bytes() for item in listed}
        found.append((list(maps), maps))
    assert found[0][1] == found[1][1] and found[0][0] != found[1][0]


def test_a_stream_is_sealed_and_the_record_names_its_setting(ran):
    _, _, records = ran
    assert records['source_only'].setting == 'offline'
    for method, setting in (('tent_online', 'online'), ('tent_episodic', 'episodic')):
        assert records[method].setting == setting and records[method].track == 'test-time'
        assert records[method].guard.verdict in ('sealed', 'audited')
        assert set(records[method].guard.granted) == {'val'}
        assert [ref.kind for ref in records[method].stages] == ['source', 'stream', 'score']


def test_settings_never_share_a_board(ran):
    bench, _, _ = ran
    items = load_items(bench.records)
    boards = {board.key.setting: board for board in make_boards(items, samples=50)}
    assert set(boards) == {'', 'online', 'episodic', 'continual'}
    methods = {setting: {row.method for row in board.rows} for setting, board in boards.items()}
    assert methods['online'] == {'bn_adapt_online', 'tent_online'}
    assert methods[''] == {'source_only'}
    page = board_page(boards['continual'], {})
    assert '## Per round' in page and '| round 2 night |' in page
    assert '8 images, each shown 2 times' in page
    assert 'Per round' not in board_page(boards['online'], {})
    slugs = {board.key.slug for board in boards.values()}
    assert len(slugs) == 4 and any(slug.endswith('__continual') for slug in slugs)
    by_setting = {item.record.setting: item for item in items if 'tent' in item.record.entry.method}
    with pytest.raises(BenchError, match='one setting for both'):
        compare(by_setting['online'], by_setting['episodic'], samples=10)


def test_a_missing_prediction_is_named(tmp_path):
    model = SavedPredictions(str(tmp_path / 'nowhere'))
    sample = SegDataSample(metainfo={'sample_id': 'a'})
    with pytest.raises(DataError, match='no prediction'):
        model.test_step({'data_samples': [sample]})


CODE = """
from sfda_bench.adapt.online import OnlineAdapter
from sfda_bench.registry import MODELS

@MODELS.register_module()
class Peeking(OnlineAdapter):
    def __init__(self, victim, **kwargs):
        super().__init__(**kwargs)
        self.victim = victim

    def objective(self, images, logits):
        open(self.victim, 'rb').read()
        return {'loss': logits.square().mean()}
"""
CONFIG = """
card = dict(
    name='peek', title='Peek', track='test-time', setting='{setting}', fidelity='paper'
)
code_files = ['peek_code.py']
stages = [
    dict(
        name='stream', kind='stream', rounds={rounds},
        adapter=dict(type='Peeking', victim='', reset_on='{reset_on}'),
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.0)),
    ),
]
"""


@pytest.fixture
def peek(bench):
    (bench.folder / 'peek_code.py').write_text(CODE)

    def write(setting='online', rounds=1, reset_on='never') -> str:
        path = bench.folder / 'peek.py'
        path.write_text(CONFIG.format(setting=setting, rounds=rounds, reset_on=reset_on))
        return str(path)

    return write


@needs_landlock
def test_labels_and_training_images_are_out_of_reach_and_named(bench, peek):
    bench.run(bench.plan('source_only'))
    label = next((bench.data_root / 'cityscapes/gtFine/val').rglob('*_labelIds.png'))
    training = next((bench.data_root / 'cityscapes/leftImg8bit/train').rglob('*.png'))
    image = next((bench.data_root / 'cityscapes/leftImg8bit/val').rglob('*.png'))
    states = []
    for victim in (label, training, image):
        plan = bench.plan(f'{peek()}[victim={str(victim)!r}]')
        bench.run(plan)
        status = bench.store.status(plan.entries[0].stages[1])
        states.append((status.state, victim.name in status.reason))
    assert states == [('failed', True), ('failed', True), ('done', False)]


@pytest.mark.parametrize(
    'wrong',
    [
        {'setting': 'online', 'rounds': 2},
        {'setting': 'online', 'reset_on': 'image'},
        {'setting': 'episodic'},
        {'setting': 'continual'},
    ],
)
def test_resets_and_rounds_must_be_those_of_the_setting(bench, peek, wrong):
    with pytest.raises(BenchError, match=f'setting {wrong["setting"]}'):
        bench.plan(peek(**wrong))


def test_streams_belong_to_the_test_time_track_alone(bench, peek):
    path = Path(peek())
    path.write_text(path.read_text().replace("'test-time'", "'source-free'"))
    with pytest.raises(BenchError, match='none for the others'):
        bench.plan(str(path))
    path.write_text(Path(peek()).read_text().replace("setting='online',", ''))
    with pytest.raises(BenchError, match='mend `setting`'):
        bench.plan(str(path))


def test_a_diverging_stream_is_said_to_diverge(bench):
    plan = bench.plan('tent_online[lr=1e25]')
    bench.run(plan)
    assert bench.store.status(plan.entries[0].stages[1]).state == 'diverged'


# --- inference protocols of several views ---------------------------------------------------------


def with_views(bench, monkeypatch, **fields):
    """The protocol of the tiny suite with several views instead of one."""
    from sfda_bench.plan import entry
    from sfda_bench.scoring.protocols import InferenceProtocol

    shown = entry.load_inference('pocket').model_dump()
    resize = {'lib': 'pillow', 'mode': 'bicubic', 'antialias': True}
    views = {'size': (96, 48), 'resize': resize, 'scales': (0.5, 1.0), 'flip': True}
    protocol = InferenceProtocol(**{**shown, **views, 'fuse': 'softmax', **fields})
    monkeypatch.setattr(entry, 'load_inference', lambda _: protocol)
    return protocol


VIEWS = 'cotta[scales=[0.5, 1.0],window=none]'


def test_a_protocol_of_several_views_is_one_of_a_method_that_predicts_with_these(
    bench, monkeypatch
):
    plain = bench.plan(VIEWS)
    protocol = with_views(bench, monkeypatch)
    plan = bench.plan(VIEWS)
    summary = bench.run(plan)
    assert summary.failures == [], bench.lines
    _, stream, score = plan.entries[0].stages
    config = plan.stages[stream].config
    assert config['model']['type'] == 'CoTTAFileViews'
    assert plain.stages[plain.entries[0].stages[1]].config['model']['type'] == 'CoTTA'
    sizes, flips, pack = config['test_dataloader']['dataset']['pipeline'][-1]['transforms']
    assert [tuple(step['size']) for step in sizes] == [(48, 24), (96, 48)] and len(flips) == 2
    assert [step['type'] for step in pack] == ['PackForTest']
    truth = plan.stages[score].config['test_dataloader']['dataset']['pipeline']
    assert [step['type'] for step in truth] == ['LoadTrainIds', 'PackForTest']
    folder = bench.store.path(stream) / 'artifacts'
    images = json.loads((folder / 'stream.json').read_text())['images']
    assert len(images) == 3
    with Image.open(folder / images[0]['file']) as image:
        assert image.size == (96, 48)
    ((_, record),) = load_records(bench.records)
    assert record.inference_protocol == protocol.ref
    assert record.guard.verdict in ('sealed', 'files only', 'audited')


@pytest.mark.parametrize(
    ('method', 'fields', 'told'),
    [
        ('tent_online', {}, 'a stream predicts each image once'),
        ('cotta[window=none]', {}, 'predicts with others: scales'),
        ('cotta[scales=[0.5, 1.0],flip=false,window=none]', {}, 'flip False, there True'),
        ('cotta[scales=[0.5, 1.0]]', {}, 'window 1024, there None'),
        (VIEWS, {'window': {'crop': (64, 64), 'stride': (32, 32)}}, 'window None, there 64'),
        (VIEWS, {'window': {'crop': (64, 32), 'stride': (32, 32)}}, 'each image once'),
        (VIEWS, {'fuse_at': 'input'}, 'a stream predicts each image once'),
        (VIEWS, {'fuse': 'logits'}, 'a stream predicts each image once'),
        (VIEWS, {'rescale': (1.0,) * 19}, 'a stream predicts each image once'),
        (VIEWS, {'upsample_steps': 1}, 'a stream predicts each image once'),
    ],
)
def test_other_views_than_the_methods_own_are_refused(bench, monkeypatch, method, fields, told):
    with_views(bench, monkeypatch, **fields)
    with pytest.raises(BenchError, match=told):
        bench.plan(method)
