"""The spatial prior of CBST-SP, made from source labels and read by the labelling stages."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from sfda_bench.adapt.pseudo_label import PseudoLabelWriter, ThresholdWriter
from sfda_bench.cli.scripts import prepare_data as main
from sfda_bench.data.prior import gaussian, spatial_prior
from sfda_bench.errors import BenchError, DataError


def test_frequencies_by_position_the_largest_of_each_class_is_one():
    sky_above = np.array([[0, 0], [1, 1]], np.uint8)
    mixed = np.array([[0, 1], [255, 1]], np.uint8)
    prior = spatial_prior([sky_above, mixed], (2, 2), kernel=1, num_classes=3)
    assert prior[0].tolist() == [[1.0, 0.5], [0.0, 0.0]]
    assert prior[1].tolist() == [[0.0, 0.5], [1.0, 1.0]]
    assert not prior[2].any()
    large = spatial_prior([sky_above], (8, 16), kernel=4, num_classes=2)
    assert large.shape == (2, 8, 16) and large.max() == 1.0
    assert large[0, 0, 0] == 1.0 and 0 < large[0, 3, 0] < 1 and large[0, 7, 0] == 0


def test_the_kernel_may_be_even_and_smooths_evenly():
    weights = gaussian(70)
    assert len(weights) == 70 and weights.sum() == pytest.approx(1.0)
    assert weights == pytest.approx(weights[::-1]) and weights[34] > weights[0]
    label = np.zeros((20, 20), np.uint8)
    assert spatial_prior([label], (20, 20), 6, 1) == pytest.approx(np.ones((1, 20, 20)))


def test_nothing_to_count_is_refused():
    with pytest.raises(BenchError, match='no labelled pixel'):
        spatial_prior([np.full((4, 4), 255, np.uint8)], (4, 4))
    with pytest.raises(BenchError, match='kernel 0'):
        spatial_prior([], (4, 4), kernel=0)


def test_the_command_writes_what_the_labelling_stages_read(pocket_root, tmp_path, capsys):
    path = tmp_path / 'prior.npy'
    command = ['cbst-prior', '--task', 'gta5_to_cityscapes', '--data-root', str(pocket_root)]
    assert main([*command, '--out', str(path), '--size', '64x32', '--kernel', '4']) == 0
    assert '19 x 32 x 64 from' in capsys.readouterr().out
    prior = torch.from_numpy(np.load(path))
    top, bottom = prior[:, :8].mean(dim=(1, 2)), prior[:, 24:].mean(dim=(1, 2))
    assert top[10] > bottom[10] and bottom[0] > top[0]  # sky above, road below
    maps = torch.full((19, 32, 64), 0.9 / 17)
    maps[0] = maps[10] = 0.05
    folder = tmp_path / 'a' / 'artifacts'
    writer = ThresholdWriter(str(folder), portion=0.5, prior=str(path))
    writer.process(None, [{'sample_id': 'x', 'probabilities': maps}])
    writer.evaluate(1)
    pixels = json.loads((folder / 'thresholds.json').read_text())['pixels']
    assert sum(count > 0 for count in pixels) > 2  # without a prior one class has them all
    labeller = PseudoLabelWriter(
        str(tmp_path / 'b'), thresholds=str(folder / 'thresholds.json'), prior=str(path)
    )
    assert labeller.label(maps, 0).unique().numel() > 2
    with pytest.raises(BenchError, match=r'prior of \(19, 32, 64\)'):
        labeller.label(maps[:, :16], 0)
    with pytest.raises(DataError, match=r'cannot read the prior .*none\.npy'):
        ThresholdWriter(str(folder), prior=str(tmp_path / 'none.npy'))


def test_the_prior_is_a_parameter_of_the_form_with_source_data_only():
    from sfda_bench.plan.method import Method

    stages = Method('cbst_uda').stages('pocket', 'gta5_to_cityscapes', {'prior': 'prior.npy'})
    priors = {s['name']: s['writer']['prior'] for s in stages if 'prior' in s.get('writer', {})}
    assert set(priors.values()) == {'prior.npy'} and len(priors) == 6
    with pytest.raises(BenchError, match='prior'):
        Method('cbst').stages('pocket', 'gta5_to_cityscapes', {'prior': 'prior.npy'})
