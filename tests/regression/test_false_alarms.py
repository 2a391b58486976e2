"""Twenty runs of unchanged entries with other seeds: none raises an alarm."""

from __future__ import annotations

import pytest

from sfda_bench.cli.scripts import check_regression as main
from sfda_bench.pocket.world import WorldSpec, ensure_pocket
from sfda_bench.regression import baseline as files

SUITE = """
suite = dict(
    name='calm', title='Calm', tasks=['gta5_to_cityscapes'], networks=['deeplabv2_pocket'],
    seeds=[0], profile='pocket', inference='pocket', source=dict(iters=300, batch_size=4),
)
"""
WORLD = WorldSpec(
    size=(48, 96), seed=7,
    counts={'gta5/train': 24, 'cityscapes/train': 24, 'cityscapes/val': 24},
)  # fmt: skip
#: One whose seeds hardly matter, and one that trains all weights on random views.
METHODS = ('tent[iters=30]', 'stvm[iters=30]')


@pytest.mark.slow
def test_twenty_seeds_of_unchanged_entries_raise_no_alarm(tmp_path, capsys):
    ensure_pocket(tmp_path / 'data', WORLD, workers=2)
    (tmp_path / 'calm.py').write_text(SUITE)
    common = [
        '--suite', str(tmp_path / 'calm.py'), '--data-root', str(tmp_path / 'data'),
        '--runs', str(tmp_path / 'runs'), '--against', str(tmp_path / 'calm.yaml'), '--method',
    ]  # fmt: skip
    assert main([*common, *METHODS, '--seed', '0-2', '--update']) == 0
    spreads = {
        c.method: c.spread.std for c in files.load(tmp_path / 'calm.yaml').sheet.cells.values()
    }
    code = main([*common, *METHODS, '--seed', '100-119'])
    out = capsys.readouterr().out
    codes = [main([*common, METHODS[i % 2], '--seed', str(100 + i)]) for i in range(20)]
    last = out[out.index('entry ') :]
    with capsys.disabled():
        print(f'\nspread over three seeds: {spreads}\n{last}')
    assert code == 0 and codes == [0] * 20
