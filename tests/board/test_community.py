"""Records that others sent: what is taken, what is refused and why, what boards make of them."""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from sfda_bench.board.boards import make_boards
from sfda_bench.board.build import build
from sfda_bench.board.loading import load_item, load_items
from sfda_bench.board.markdown import hardware
from sfda_bench.board.reported import load_all
from sfda_bench.board.tiers import RECOMPUTED, REPORTED, RERUN
from sfda_bench.cli.scripts import capsule, make_leaderboard
from sfda_bench.paths import RESULTS
from sfda_bench.scoring.protocols import load_scoring
from sfda_bench.store.record import counts_digest, load_counts, read_record, save_record
from sfda_bench.store.scored import scores_of
from tests.bad_inputs import HTML

HERE = RESULTS / 'records' / 'pocket'
STEM = 'gta5_to_cityscapes__deeplabv2_pocket'
SEED = 7
"""A seed that no record here has."""


@pytest.fixture(scope='module')
def ours(tmp_path_factory):
    """Records that were run here: three methods of one board, all seeds."""
    folder = tmp_path_factory.mktemp('here') / 'records' / 'pocket'
    folder.mkdir(parents=True)
    for method in ('source_only', 'tent', 'bn_adapt'):
        for path in HERE.glob(f'{STEM}__{method}__s?.*'):
            shutil.copy(path, folder)
    return folder.parent


def write(folder, data, counts=None, folder_name='pocket'):
    """Save a record, with its counts if there are any; returns its path."""
    entry = data['entry']
    how = f'__{entry["inference"]}' if entry['inference'] else ''
    tail = f'{entry["task"]}__{entry["network"]}{how}__{entry["method"]}__s{entry["seed"]}'
    path = Path(folder) / folder_name / f'{tail}.json'
    path.parent.mkdir(parents=True, exist_ok=True)
    if counts is not None:
        data = {**data, 'counts_file': f'{tail}.npz'}
        arrays = dict(zip(('counts', 'ids', 'conditions'), map(np.array, counts), strict=True))
        np.savez_compressed(path.with_suffix('.npz'), **arrays)
    path.write_text(json.dumps(data), encoding='utf-8')
    return path


def content(method='tent', seed=SEED):
    """A record of another seed as the harness would write it, and its counts."""
    path = HERE / f'{STEM}__{method}__s0.json'
    data = json.loads(path.read_text(encoding='utf-8'))
    data['entry']['seed'] = seed
    return data, load_counts(path.with_suffix('.npz'))


def fitting(data, counts):
    """The record with the digest and the scores of these counts."""
    protocol = load_scoring(data['scoring_protocol'])
    scores = scores_of(*counts, protocol).model_dump(mode='json')
    return {**data, 'counts_sha256': counts_digest(*counts), 'scores': scores}


def told(**changes):
    """A self-reported record."""
    data, _ = content()
    data |= dict(counts_file='', counts_sha256='', stages=[], data={}, versions={}, hardware={})
    return {**data, **changes}


def validate(ours, *paths):
    return make_leaderboard(['--validate', *map(str, paths), '--records', str(ours)])


# --- what is taken --------------------------------------------------------------------------------


def test_a_record_as_the_harness_writes_it_is_taken(ours, tmp_path, capsys):
    path = write(tmp_path, *content())
    assert validate(ours, path) == 0
    said = capsys.readouterr()
    miou = content()[0]['scores']['miou']
    assert f'{path}: {RECOMPUTED}, mIoU {miou:.2f}' in said.out and 'not checked' not in said.out
    assert not said.err
    assert validate(ours, tmp_path) == 0  # the folder as well


def test_a_record_written_by_hand_is_taken_as_self_reported(ours, tmp_path, capsys):
    scores = {'miou': 41.5, 'per_class': {}, 'images': 40}
    path = write(tmp_path, told(scores=scores))
    assert validate(ours, path) == 0
    assert f'{path}: {REPORTED}, mIoU 41.50' in capsys.readouterr().out


def test_every_record_of_ours_would_be_taken(capsys):
    """No check refuses what the harness itself writes, streams and converted sources included."""
    assert make_leaderboard(['--validate', str(RESULTS / 'records')]) == 0
    said = capsys.readouterr()
    assert said.out.count(RERUN) > 300 and not said.err and 'not checked' not in said.out


def test_an_empty_folder_of_others_is_fine_and_another_is_a_mistake(ours, tmp_path, capsys):
    for name, code in (('community', 0), ('comunity', 1)):
        (tmp_path / name).mkdir()
        assert validate(ours, tmp_path / name) == code
    assert 'no record in' in capsys.readouterr().err


def test_what_nothing_here_can_tell_is_said(tmp_path, capsys):
    """The first records of a task: their source's score must come along."""
    (tmp_path / 'records').mkdir()
    data, counts = content()
    method = write(tmp_path / 'own', data, counts)
    assert validate(tmp_path / 'records', method) == 1
    said = capsys.readouterr().err
    assert 'no record shows the score of its source model' in said
    assert '40 images' in said and 'expected: 500' in said  # a rendered world is none of the lists
    source = write(tmp_path / 'own', *content('source_only'))
    validate(tmp_path / 'records', method, source)
    assert 'no record shows the score' not in capsys.readouterr().err


def test_good_ones_are_told_from_bad_ones_in_one_call(ours, tmp_path, capsys):
    good = write(tmp_path, *content())
    bad = write(tmp_path, *content('bn_adapt'))
    bad.write_text(bad.read_text().replace('"pocket@1"', '"mine@1"'))
    assert validate(ours, good, bad) == 1
    said = capsys.readouterr()
    assert f'{good}: {RECOMPUTED}' in said.out and '2 files examined, 1 to mend' in said.out
    assert f'error: {bad}: unknown inference protocol' in said.err and good.name not in said.err


# --- what is refused ------------------------------------------------------------------------------


def _cut(folder):
    path = write(folder, *content())
    path.write_bytes(path.read_bytes()[:900])


def _page(folder):
    write(folder, *content()).write_bytes(HTML)


def _page_of_counts(folder):
    write(folder, *content()).with_suffix('.npz').write_bytes(HTML)


def _no_counts(folder):
    write(folder, *content()).with_suffix('.npz').unlink()


def _other_counts(folder):
    data, _ = content()
    write(folder, data, content('bn_adapt')[1])


def _scores_of_others(folder):
    """Counts of another method, under their own digest: only the scores give it away."""
    data, counts = content()[0], content('bn_adapt')[1]
    write(folder, {**data, 'counts_sha256': counts_digest(*counts)}, counts)


def _eleven_classes(folder):
    data, (counts, ids, tags) = content()
    counts = counts[:, :11, :12]
    write(folder, {**data, 'counts_sha256': counts_digest(counts, ids, tags)}, (counts, ids, tags))


def _other_labels(folder):
    """More pixels of a class than there are: everything else is made to fit."""
    data, (counts, ids, tags) = content()
    counts = counts.copy()
    counts[:, 0, 0] += 1000
    write(folder, fitting(data, (counts, ids, tags)), (counts, ids, tags))


def _half_the_images(folder):
    data, (counts, ids, tags) = content()
    half = counts[:20], ids[:20], tags[:20]
    write(folder, fitting(data, half), half)


def _twice_an_image(folder):
    data, (counts, ids, tags) = content()
    twice = counts, [ids[0], ids[0], *ids[2:]], tags
    write(folder, fitting(data, twice), twice)


def _negative(folder):
    data, (counts, ids, tags) = content()
    counts = counts.astype(np.int64)
    counts[0, 0, 1] -= 10**6
    write(folder, {**data, 'counts_sha256': counts_digest(counts, ids, tags)}, (counts, ids, tags))


def _edited(where, value, **more):
    def make(folder):
        data, counts = content()
        place = data
        for key in where[:-1]:
            place = place[key]
        place[where[-1]] = value
        write(folder, {**data, **more}, counts, folder_name=data['entry']['suite'])

    return make


def _huge_record(folder):
    data, counts = content()
    write(folder, {**data, 'warnings': ['x' * 100] * 20_000}, counts)


def _huge_counts(folder):
    path = write(folder, *content()).with_suffix('.npz')
    with path.open('ab') as stream:
        stream.truncate(9 << 20)


def _bomb(folder):
    path = write(folder, *content()).with_suffix('.npz')
    with (
        zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive,
        archive.open('counts.npy', 'w', force_zip64=True) as member,
    ):
        for _ in range(300):
            member.write(bytes(1 << 20))


def _elsewhere(folder):
    data, _ = content()
    shutil.copy(HERE / f'{STEM}__tent__s0.npz', folder / 'stolen.npz')
    write(folder, {**data, 'counts_file': '../stolen.npz'})


def _link(folder):
    path = write(folder, *content())
    path.rename(folder / 'real.txt')
    path.symlink_to(folder / 'real.txt')


def _wrong_name(folder):
    path = write(folder, *content())
    path.rename(path.with_name('tent.json'))


def _here_already(folder):
    write(folder, *content(seed=0))


def _stray(folder):
    write(folder, *content()).with_name('model.pth').write_bytes(b'weights')


def _twice(folder):
    write(folder / 'a', *content())
    write(folder / 'b', *content())


def _told(**changes):
    return lambda folder: write(folder, told(**changes))


BAD = {
    'cut': (_cut, 'is not a record'),
    'web page': (_page, 'it is a web page'),
    'web page as counts': (_page_of_counts, 'it is a web page'),
    'counts absent': (_no_counts, 'no file'),
    'counts of another': (_other_counts, 'was altered'),
    'counts that do not fit': (_scores_of_others, 'from the counts'),
    'eleven classes': (_eleven_classes, 'label space cityscapes19'),
    'other labels': (_other_labels, 'not of the images and labels'),
    'half the images': (_half_the_images, 'scored on 20 images'),
    'an image twice': (_twice_an_image, 'an image twice'),
    'negative counts': (_negative, 'below 0'),
    'edited score': (_edited(('scores', 'miou'), 71.5), 'scores.miou is 71.5'),
    'no number': (_edited(('scores', 'miou'), float('nan')), 'scores.miou is nan'),
    'edited class': (
        _edited(('scores', 'per_class', 'train'), 50.0), 'scores.per_class.train is 50.0'
    ),
    'edited gain': (_edited(('source', 'miou'), 12.0), 'source.miou is 12.0'),
    'invented curve': (
        _edited(('curve',), [dict(iteration=9, miou=60.0)]), 'the curve ends at 60.0'
    ),
    'unknown protocol': (
        _edited(('inference_protocol',), 'mine@1'), "unknown inference protocol 'mine'"
    ),
    'other version': (
        _edited(('scoring_protocol',), 'cityscapes19@9'), 'cityscapes19@9, but the current'
    ),
    'unknown method': (_edited(('entry', 'method'), 'tentt'), "unknown method 'tentt'"),
    'unknown network': (_edited(('entry', 'network'), 'resnet'), "unknown network 'resnet'"),
    'unknown suite': (_edited(('entry', 'suite'), 'mine'), "unknown suite 'mine'"),
    'other track': (_edited(('track',), 'uda'), "track is 'uda'"),
    'other profile': (_edited(('profile',), 'paper'), "profile is 'paper'"),
    'other data': (_edited(('data', 'score'), '0' * 16), 'fingerprint of score'),
    'unknown field': (_edited(('trust',), 'me'), 'trust: Extra inputs'),
    'markup': (_edited(('hardware', 'cpu'), '<img src=x>'), "hardware.cpu holds '<'"),
    'other weights': (_edited(('source', 'published'), 'ab' * 32), 'source.published is'),
    'other inference': (_edited(('entry', 'inference'), 'camvid'), "entry.inference is 'camvid'"),
    'seed': (_edited(('entry', 'seed'), -1), 'seed is -1'),
    'no date': (_edited(('created',), 'yesterday'), "created is 'yesterday'"),
    'huge record': (_huge_record, 'at most 1,048,576'),
    'huge counts': (_huge_counts, 'at most 8,388,608'),
    'bomb': (_bomb, 'unpacks to 314,57'),
    'counts elsewhere': (_elsewhere, "names the counts '../stolen.npz'"),
    'link': (_link, 'is a link'),
    'other name': (_wrong_name, 'holds the record of pocket/'),
    'run here already': (_here_already, 'an entry that was run here'),
    'stray file': (_stray, 'belongs to no record'),
    'two of one entry': (_twice, 'hold the same entry'),
    'told: percent': (_told(scores=dict(miou=101.0, per_class={}, images=40)), 'percent'),
    'told: mean': (
        _told(scores={**content()[0]['scores'], 'miou': 55.0}), 'the mean of its classes'
    ),
    'told: classes': (
        _told(scores=dict(miou=41.0, per_class={'road': 41.0}, images=40)), 'holds 1 classes: road'
    ),
    'told: images': (_told(scores=dict(miou=41.0, per_class={}, images=39)), '39 images'),
    'told: digest': (_told(counts_sha256='ab'), 'counts_sha256 without counts_file'),
}  # fmt: skip


@pytest.mark.parametrize('name', BAD)
def test_it_is_refused(name, ours, tmp_path, capsys):
    """With what was found, what was expected and the way out, naming the file; no traceback."""
    make, reason = BAD[name]
    make(tmp_path)
    assert validate(ours, tmp_path) == 1
    said = capsys.readouterr().err
    assert reason in said, said
    assert str(tmp_path) in said and 'expected:' in said and 'fix:' in said
    assert 'Traceback' not in said


def test_several_faults_of_a_record_are_told_at_once(ours, tmp_path, capsys):
    data, counts = content()
    data['track'], data['scores']['miou'], data['source']['miou'] = 'uda', 70.0, 10.0
    write(tmp_path, data, counts)
    assert validate(ours, tmp_path) == 1
    said = capsys.readouterr().err
    assert all(text in said for text in ('track is', 'scores.miou is', 'source.miou is'))
    assert said.count('error:') == 3


def test_settings_are_those_of_the_method(ours, tmp_path, capsys):
    data, counts = content()
    for params, code in (({'lr': 0.002}, 0), ({'lr': 'much'}, 1), ({'speed': 2}, 1)):
        record = read_record(write(tmp_path / 'raw', data, counts))
        record.entry.params = params
        record.counts_file = f'{record.entry.slug}.npz'
        path = save_record(record, *counts, tmp_path / 'own')
        assert validate(ours, path) == code, params
    assert 'speed' in capsys.readouterr().err


# --- what a board makes of them -------------------------------------------------------------------


@pytest.fixture(scope='module')
def mixed(ours, tmp_path_factory):
    """Folders: records of our own, and of others: another setting's seeds, and a number alone."""
    folder = tmp_path_factory.mktemp('mixed') / 'community'
    for seed in (0, 1, 2):
        data, counts = content('bn_adapt', seed)
        record = read_record(write(folder.parent / 'raw', data, counts))
        record.entry.method, record.entry.params = 'tent', {'lr': 0.002}
        record.counts_file = f'{record.entry.slug}.npz'
        save_record(record, *counts, folder)
        scores = {'miou': 90.0 + seed, 'per_class': {}, 'images': 40}
        data = told(scores=scores)
        data['entry'] |= dict(method='iapc', seed=seed)
        write(folder, data)
        data['entry'] |= dict(method='oracle')
        write(folder, data | dict(track='bound'))
    shutil.copy(HERE / f'{STEM}__tent__s0.json', folder / 'pocket')
    data = json.loads((folder / 'pocket' / f'{STEM}__tent__s0.json').read_text())
    data |= dict(counts_file='', counts_sha256='')
    data['scores']['miou'] = 99.0
    (folder / 'pocket' / f'{STEM}__tent__s0.json').write_text(json.dumps(data))
    return [ours, folder]


def rows_of(folders):
    (board,) = make_boards(load_items(folders), 200, load_all())
    return board, {(row.method, row.tier): row for row in board.rows}


def test_rows_carry_their_tier_and_none_is_mixed(mixed):
    board, rows = rows_of(mixed)
    assert {tier for _, tier in rows} == {RERUN, RECOMPUTED, REPORTED}
    sent = rows['tent', RECOMPUTED]
    assert sorted(sent.items) == [0, 1, 2] and sent.rank is not None and sent.low is not None
    assert rows['tent', RERUN].mean != sent.mean
    only = rows['iapc', REPORTED]
    assert only.mean == pytest.approx(91.0) and only.rank is None and only.low is None
    assert only.conventions['cityscapes19@1'] == only.mean
    assert set(only.conventions.values()) == {only.mean, None}
    assert only.verdict is None or only.verdict.word == 'not comparable'
    assert only.title not in {name for pair in board.pairs for name in (pair.a, pair.b)}


def test_a_number_alone_is_neither_best_nor_a_bound(mixed):
    board, _ = rows_of(mixed)
    assert hardware(board) == ['AMD EPYC']
    assert board.best is not None and board.best.counted
    assert board.upper is None  # an oracle of 91 that nothing stands behind
    order = [row.counted for row in board.rows if not row.bound]
    assert order == sorted(order, reverse=True)
    assert board.images == 40


def test_what_was_run_here_stands_before_what_others_sent(mixed):
    _, rows = rows_of(mixed)
    assert ('tent', REPORTED) not in rows
    items = load_items(list(reversed(mixed)))  # whichever folder is named last
    (own,) = [i for i in items if i.record.entry.slug == f'{STEM}__tent__s0']
    assert own.tier == RERUN and own.scores.miou < 50


def test_seeds_of_others_do_not_move_a_row_of_ours(ours, tmp_path):
    write(tmp_path / 'community', *content())
    _, rows = rows_of([ours, tmp_path / 'community'])
    before = rows_of([ours])[1]['tent', RERUN]
    assert rows['tent', RERUN].mean == before.mean
    assert rows['tent', RECOMPUTED].title == f'{before.title} ({RECOMPUTED})'
    assert rows['tent', RECOMPUTED].mean is None  # one of three seeds


def test_every_page_shows_the_tier_where_a_row_was_not_run_here(ours, mixed):
    slug = f'pocket__{STEM}'
    heads = {
        f'boards/{slug}.md': '| fidelity | tier | seeds |',
        f'boards/{slug}.csv': ',fidelity,tier,seeds,',
        f'site/{slug}.html': '<th class="col-tier">tier</th>',
        'README.md': '| fidelity | tier | seeds |',
    }
    plain, shown = build([ours], 100), build(mixed, 100)
    for name, head in heads.items():
        assert head in shown[name] and head not in plain[name], name
        assert all(tier in shown[name] for tier in (RERUN, RECOMPUTED, REPORTED)), name
    for tail in ('', '__classes'):
        table = f'boards/{slug}{tail}.tex'
        assert all(f'({tier})' in shown[table] for tier in (RECOMPUTED, REPORTED))
        assert not any(tier in plain[table] for tier in (RERUN, RECOMPUTED, REPORTED))
    head, *lines = plain['board.csv'].splitlines()
    assert 'tier' in head.split(',') and all(RERUN in line for line in lines)


def test_a_board_of_numbers_alone_is_built(tmp_path):
    data = told()
    write(tmp_path / 'community', data)
    files = build([tmp_path / 'community'], 100)
    source, own = f'{data["source"]["miou"]:.1f}', f'{data["scores"]["miou"]:.1f}'
    row = f'| {REPORTED} | 1 of 1 | {source} | – (1 of 1 seeds: s7 {own}) |'
    assert row in files['README.md']
    assert f',{REPORTED},7,40,' in files['board.csv']


def test_others_answer_no_reported_number(mixed):
    files = build(mixed, 100)
    assert files['boards/reproduction.md'] == build([mixed[0]], 100)['boards/reproduction.md']


def test_what_needs_counts_says_so(ours, tmp_path, capsys):
    path = write(tmp_path / 'community', told())
    other = next((ours / 'pocket').glob('*.json'))
    assert make_leaderboard(['--compare', str(path), str(other)]) == 1
    assert capsule(['make', str(path), '--out', str(tmp_path / 'x.zip')]) == 1
    assert capsys.readouterr().err.count('it has no counts') == 2
    moved = write(tmp_path / 'records', told())
    with pytest.raises(Exception, match='names no counts'):
        load_item(moved)


def test_the_folder_of_others_may_be_missing(ours, tmp_path):
    out = ['--out', str(tmp_path / 'out')]
    assert make_leaderboard(['--records', str(ours), str(tmp_path / 'community'), *out]) == 0


def test_from_python(ours, mixed):
    import sfda_bench

    records = sfda_bench.load_records(mixed)
    frame = records.to_frame()
    assert set(frame.tier) == {RERUN, RECOMPUTED, REPORTED}
    again = records.rescore('synthia13_avg').to_frame()
    assert set(again.tier) == {RERUN, RECOMPUTED}


def test_the_folder_of_the_repository_is_in_order(capsys):
    assert make_leaderboard(['--validate', str(RESULTS / 'community')]) == 0
