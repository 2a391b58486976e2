"""Pages of sweeps: every choice beside what labels say, marks, and the ranking of validators."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from sfda_bench.board.scatter import scatter
from sfda_bench.board.sweep_overview import files, overview
from sfda_bench.board.sweeps import COLLAPSED, OWN, choices, page
from sfda_bench.errors import BenchError
from sfda_bench.scoring.candidates import VALIDATORS
from sfda_bench.store.sweep import (
    FreshResult,
    SweepResult,
    TrialResult,
    load_sweeps,
    pick,
    save_sweep,
)

MIOU = (39.7, 41.7, 13.1, None, 45.0)


def sweep(method: str = 'tent', miou=MIOU, **changed) -> SweepResult:
    """Five trials: entropy falls for the third, which collapsed; the fourth diverged."""
    trials = []
    for number, score in enumerate(miou):
        scores = {name: (score or 0.0) / 100 for name in VALIDATORS}
        scores['entropy'] = -(score or 0.0) / 100
        trials.append(
            TrialResult(
                params={'optimizer.lr': 10.0**-number} if number else {},
                entry=f'{method}-{number}',
                miou=score,
                scores=dict.fromkeys(VALIDATORS) if score is None else scores,
                classes=None if score is None else 4 if score < 20 else 11,
                collapsed=score is not None and score < 20,
                seconds=None if score is None else 12.0,
                reason='adapt: diverged loss is nan' if score is None else '',
            )
        )
    facts = dict(
        suite='pocket', task='gta5_to_cityscapes', network='deeplabv2_pocket', method=method,
        title=method.title(), inference_protocol='pocket@1', scoring_protocol='cityscapes19@1',
        axes={'lr': 'log(0.1, 10)'}, space_version=1, optimises=['infomax'], seed=0, images=16,
        guard=['sealed'], trials=trials, source_miou=43.5, source_classes=11, seconds=60.0,
        stability={'bnm': 0.9}, select=['bnm'],
    )  # fmt: skip
    return SweepResult(**{**facts, **changed})


def row(text: str, start: str) -> list[str]:
    """Cells of the first line of a table that starts so."""
    line = next(line for line in text.splitlines() if line.startswith(f'| {start}'))
    return [cell.strip() for cell in line.strip('|').split('|')]


def test_the_page_shows_all_choices_side_by_side():
    text = page(sweep())
    assert row(text, 'source model')[3] == '43.5'
    assert row(text, 'default')[3:6] == ['39.7', '5.3', '3']
    assert row(text, '`bnm`')[2:] == ['4', '45.0', '0.0', '1', '90 %']
    assert row(text, '`entropy`')[2:6] == ['2', f'13.1 {COLLAPSED}', '31.9', '4']
    assert row(text, 'worst')[3] == f'13.1 {COLLAPSED}'
    assert row(text, '*best by labels: a bound*')[3] == '*45.0*', 'a bound stands apart'
    assert 'Cost of the search: 1.0 min' in text
    assert 'sealed' in text and '16 unlabelled training images' in text


def test_the_objective_of_the_method_is_marked():
    text = page(sweep())
    assert f'| `infomax` {OWN} |' in text and f'`bnm` {OWN}' not in text
    assert 'how hard that was optimised' in text
    assert OWN not in page(sweep(optimises=[]))


def test_a_trial_that_diverged_is_counted_and_never_chosen():
    found = sweep()
    assert 'Without a result: trial 3.' in page(found)
    assert 'diverged loss is nan' in page(found)
    assert {choice.index for choice in choices(found).values()} == {2, 4}
    assert pick(found, 'bnm') == 4 and pick(found, 'entropy') == 2


def test_the_choice_that_runs_again_is_the_one_on_the_page():
    for found in (sweep(), sweep(miou=(30.0, 30.0, 30.0)), sweep(miou=(None, 20.0, 21.0))):
        assert {name: pick(found, name) for name in choices(found)} == {
            name: choice.index for name, choice in choices(found).items()
        }
    assert pick(sweep(miou=(30.0, 30.0)), 'bnm') == 0, 'of equals the published setting'


def test_a_sweep_without_any_result_has_a_page_all_the_same():
    found = sweep(miou=(None, None), source_miou=None, seconds=None)
    assert choices(found) == {} and pick(found, 'bnm') is None
    assert 'Without a result: trial 0, 1.' in page(found)
    assert 'None yet' in overview([found])


def test_fresh_seeds_are_averaged_apart_from_the_search():
    fresh = [FreshResult(trial=t, seed=s, miou=m) for t, s, m in
             ((0, 1, 40.0), (0, 2, 42.0), (4, 1, 44.0), (4, 2, None))]  # fmt: skip
    text = page(sweep(fresh=fresh)).split('## On fresh seeds')[1]
    assert row(text, 'default')[3:] == ['1, 2', '41.0', '1.4']
    assert row(text, '`bnm`')[3:] == ['1', '44.0', '–']
    assert 'On fresh seeds' not in page(sweep())


def test_validators_are_ranked_by_median_regret_without_own_objectives():
    text = overview([sweep(), sweep('stvm', optimises=[]), sweep('cbst', (30.0, 31.0, 32.0))])
    assert row(text, '`bnm`')[1:] == ['3', '0.0', '0.0', '0 %', '0 %']
    assert row(text, '`infomax`')[1] == '1', 'two of the sweeps optimise it'
    assert row(text, '`entropy`')[1:] == ['3', '31.9', '31.9', '100 %', '67 %']
    assert row(text, '*the published setting*')[2] == '5.3'
    assert row(text, '*a trial at random*')[3] == '10.1'
    order = [line.split('`')[1] for line in text.splitlines() if line.startswith('| `')]
    assert order[-1] == 'entropy'


def test_written_read_and_linked(tmp_path):
    for found in (sweep(), sweep('stvm')):
        save_sweep(found, tmp_path)
    (tmp_path / 'records' / 'pocket').mkdir(parents=True)
    (tmp_path / 'records' / 'pocket' / 'tent.json').write_text('{}')
    loaded = load_sweeps(tmp_path)
    assert [one.method for one in loaded] == ['stvm', 'tent']
    assert loaded[1] == sweep()
    pages = files(loaded)
    for found in loaded:
        link = f'({found.suite}/{found.slug}.md)'
        assert link in pages[min(pages, key=lambda path: len(path.parts))]
        assert any(str(path) == link.strip('()') for path in pages)


def test_the_picture_has_every_trial_and_rings_the_pick():
    """Read as XML: a square, marks in red, one ring a panel."""
    found = sweep()
    root = ElementTree.fromstring(scatter(found, ('bnm', 'entropy')))
    panels = [part for part in root if part.tag.endswith('}g')]
    assert [panel[1].text for panel in panels] == ['bnm', 'entropy']
    for panel, picked in zip(panels, (4, 2), strict=True):
        told = [part.text for part in panel.iter() if part.tag.endswith('}title')]
        assert [text.split(':')[0] for text in told] == ['trial 0', 'trial 1', 'trial 2', 'trial 4']
        (ring,) = [part for part in panel if part.get('r') == '8']
        marks = {part[0].text.split(':')[0]: part for part in panel if len(part)}
        assert marks[f'trial {picked}'].get('cx') == ring.get('cx')
        assert marks['trial 2'].get('fill') != marks['trial 4'].get('fill')
        height = {name: float(part.get('cy') or part.get('y')) for name, part in marks.items()}
        assert height['trial 4'] < height['trial 2'], 'higher mIoU is further up'
    nothing = sweep(miou=(None, None), source_miou=None)
    assert ElementTree.fromstring(scatter(nothing, ('bnm',))) is not None


def test_other_axes_make_another_file():
    assert sweep().slug == sweep().slug != sweep(axes={'lr': 'log(0.5, 2)'}).slug
    assert sweep(base={'adapter.norm_mode': 'eval'}).slug != sweep().slug


def test_a_damaged_result_is_named(tmp_path):
    path = save_sweep(sweep(), tmp_path)
    path.write_text(path.read_text().replace('"budget', '"x').replace('"seed"', '"seeds"'))
    with pytest.raises(BenchError, match=path.name):
        load_sweeps(tmp_path)
