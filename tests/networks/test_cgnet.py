import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from sfda_bench.errors import BenchError
from sfda_bench.networks.build import build_segmentor, logits_of
from sfda_bench.networks.checkpoints.convert import convert_checkpoint
from sfda_bench.networks.checkpoints.state import sha256_of
from tests.networks.helpers import ROOT, assert_same, config, image, largest_difference, randomise
from tests.networks.restated_cgnet import RestatedCGNet


@pytest.fixture
def authors(tmp_path):
    """The restated network with random weights and its file, in the authors' key format."""
    torch.manual_seed(0)
    model = randomise(RestatedCGNet())
    path = tmp_path / 'authors.pth'
    old = {k: v for k, v in model.state_dict().items() if 'num_batches' not in k}
    torch.save(old, path)
    return model, path


def load(path):
    model_cfg = config('cgnet').model
    model = build_segmentor(model_cfg)
    model.load_state_dict(convert_checkpoint(path, 'cgnet', model_cfg), strict=True)
    return model.eval()


def test_keys_of_the_restatement_are_the_published_ones(authors):
    state = torch.load(authors[1], weights_only=True)
    assert len(state) == 444
    assert state['level3.19.F_glo.fc.2.weight'].shape == (128, 8)


@pytest.mark.parametrize('size', [(65, 97), (96, 192)])
@torch.no_grad()
def test_converted_logits_equal_the_authors(authors, size):
    x = image(*size)
    assert_same(logits_of(load(authors[1]), x), authors[0](x))


def test_foreign_checkpoint_names_missing_and_left_over_keys(tmp_path):
    path = tmp_path / 'other.pth'
    torch.save({'encoder.weight': torch.zeros(3)}, path)
    with pytest.raises(BenchError) as error:
        convert_checkpoint(path, 'cgnet', config('cgnet').model)
    assert 'missing: backbone.stem.0' in str(error.value)
    assert '1 keys left over: encoder.weight' in str(error.value)


def test_other_class_count_is_named(authors, tmp_path):
    state = torch.load(authors[1], weights_only=True)
    state['classifier.0.conv.weight'] = torch.zeros(11, 256, 1, 1)
    path = tmp_path / 'eleven.pth'
    torch.save(state, path)
    with pytest.raises(BenchError, match=r'other shape: decode_head.conv_seg.weight \(11, 256'):
        convert_checkpoint(path, 'cgnet', config('cgnet').model)


def test_misspelt_converter_gets_a_suggestion(authors):
    with pytest.raises(BenchError, match='did you mean cgnet'):
        convert_checkpoint(authors[1], 'cgnett', config('cgnet').model)


@pytest.mark.data
@torch.no_grad()
def test_real_logits_equal_the_authors_reference():
    root = Path(os.environ.get('SFDA_DATA_ROOT', ROOT.parent / 'shared' / 'data'))
    network = config('cgnet').network
    path = root / network.source.checkpoint
    assert sha256_of(path) == network.source.sha256
    reference = json.loads((root / 'weights' / 'cgnet_reference.json').read_text())
    rgb = np.asarray(Image.open(root / reference['image']).convert('RGB'), dtype=np.float32)
    x = torch.from_numpy(rgb - np.float32(network.input.mean)).permute(2, 0, 1)[None]
    logits = F.interpolate(
        logits_of(load(path), x), size=x.shape[2:], mode='bilinear', align_corners=False
    )[0]
    assert list(logits.shape) == reference['shape']
    assert logits.mean().item() == pytest.approx(reference['mean'], abs=1e-3)
    for place, values in reference['logits'].items():
        row, column = map(int, place.split(','))
        assert largest_difference(logits[:, row, column], torch.tensor(values)) < 1e-3
    counts = torch.bincount(logits.argmax(0).flatten(), minlength=19)
    assert counts.tolist() == reference['argmax_counts']
