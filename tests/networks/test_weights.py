"""Weights are used whole, or not at all."""

import zipfile

import pytest
import torch
from mmengine.config import ConfigDict

from sfda_bench.errors import BenchError
from sfda_bench.networks.build import build_segmentor
from sfda_bench.networks.checkpoints.formats import unwrapped
from sfda_bench.networks.checkpoints.identify import describe, inspect_checkpoint
from sfda_bench.networks.checkpoints.reading import read_file
from sfda_bench.networks.checkpoints.weights import check_weights, not_finite
from tests.networks.helpers import config


@pytest.fixture(scope='module')
def network():
    torch.manual_seed(0)
    return build_segmentor(ConfigDict(config('deeplabv2_pocket').model.to_dict()))


def saved(folder, content):
    torch.save(content, folder / 'x.pth')
    return folder / 'x.pth'


def state(network, **changes):
    return {k: v.clone() for k, v in network.state_dict().items()} | changes


@pytest.mark.parametrize('wrap', [dict, lambda s: {'state_dict': s, 'meta': {}},
                                  lambda s: {f'module.{k}': v for k, v in s.items()}])  # fmt: skip
def test_what_fits_passes(network, tmp_path, wrap):
    check_weights(saved(tmp_path, wrap(state(network))), network)


def test_files_without_counters_of_batches_pass(network, tmp_path):
    old = {k: v for k, v in state(network).items() if not k.endswith('num_batches_tracked')}
    assert len(old) < len(state(network))
    check_weights(saved(tmp_path, old), network)


def renamed(change):
    return lambda s: {change(k): v for k, v in s.items()}


MISFITS = {
    'compiled': (renamed(lambda k: f'_orig_mod.{k}'), 'behind the prefix `_orig_mod.`'),
    'compiled, parallel': (renamed(lambda k: f'_orig_mod.module.{k}'), '`_orig_mod.`'),
    'in model_state_dict': (lambda s: {'model_state_dict': s}, 'under `model_state_dict`'),
    'in net': (lambda s: {'net': s, 'epoch': 3}, 'under `net`'),
    'an average': (
        lambda s: {'n_averaged': torch.tensor(5), **renamed(lambda k: f'module.{k}')(s)},
        'n_averaged',
    ),
    'no head': (
        lambda s: {k: v for k, v in s.items() if not k.startswith('decode_head')}, 'missing',
    ),
    'one more': (lambda s: s | {'auxiliary_head.x': torch.ones(1)}, '1 keys left over'),
    'one shape': (
        lambda s: s | {'backbone.conv1.weight': torch.ones(3, 3)}, '1 keys other shape',
    ),
    'another': (lambda s: {'epoch': 3}, 'missing'),
}  # fmt: skip


@pytest.mark.parametrize('case', MISFITS)
def test_what_does_not_fit_is_refused_and_says_where_the_weights_are(network, tmp_path, case):
    wrap, word = MISFITS[case]
    with pytest.raises(BenchError) as error:
        check_weights(saved(tmp_path, wrap(state(network))), network)
    assert 'does not fit the network' in error.value.found and word in error.value.found
    assert 'inspect' in error.value.fix


@pytest.mark.parametrize('key', ['backbone.conv1.weight', 'backbone.bn1.running_var'])
@pytest.mark.parametrize('value', [float('nan'), float('inf'), float('-inf')])
def test_what_is_not_finite_is_refused_by_name(network, tmp_path, key, value):
    bad = state(network)
    bad[key].view(-1)[1] = value
    assert not_finite(bad) == [f'{key} (1 of {bad[key].numel()})']
    with pytest.raises(BenchError, match='not finite') as error:
        check_weights(saved(tmp_path, bad), network)
    assert key in error.value.found
    found = describe(inspect_checkpoint(tmp_path / 'x.pth', {}))
    assert 'not finite' in found and key in found


def test_half_precision_is_finite_or_not_like_any_other(network, tmp_path):
    half = {k: v.half() if v.is_floating_point() else v for k, v in state(network).items()}
    check_weights(saved(tmp_path, half), network)
    half['backbone.conv1.weight'] = (half['backbone.conv1.weight'] * 1e8).to(torch.float16)
    with pytest.raises(BenchError, match='not finite'):
        check_weights(saved(tmp_path, half), network)


@pytest.mark.parametrize('place', [0.25, 0.5, 0.75])
def test_flipped_bytes_are_seen_by_their_checksum(network, tmp_path, place):
    path = saved(tmp_path, state(network))
    data = bytearray(path.read_bytes())
    start = int(len(data) * place)
    data[start : start + 16] = bytes(255 - b for b in data[start : start + 16])
    path.write_bytes(data)
    with pytest.raises(BenchError, match='damaged'):
        read_file(path)


@pytest.mark.parametrize(
    ('data', 'word'),
    [
        (b'', 'it is empty'),
        (b'<!doctype html><html></html>', 'a web page'),
        (b'version https://git-lfs.github.com/spec/v1\noid sha256:0\n', 'git-lfs'),
        (b'PK\x03\x04 and nothing more', 'is not a checkpoint'),
        (b'\x80\x02}q\x00.', 'is not a checkpoint'),
        (b'\x80\x04garbage that is no pickle', 'is not a checkpoint'),
        (b'\x1f\x8b\x08\x00\x00', 'compressed'),
        ('<!doctype html>'.encode('utf-16'), 'a web page'),
        (b'not at all', 'is not a checkpoint'),
    ],
)
def test_other_files_are_named_for_what_they_are(tmp_path, data, word):
    (tmp_path / 'x.pth').write_bytes(data)
    with pytest.raises(BenchError, match=word):
        read_file(tmp_path / 'x.pth')


def test_a_cut_file_and_an_archive_without_weights(network, tmp_path):
    path = saved(tmp_path, state(network))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BenchError, match='checkpoint'):
        read_file(path)
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('readme.txt', 'no weights')
    with pytest.raises(BenchError, match=r'an archive without weights, of readme\.txt'):
        read_file(path)


def test_of_several_networks_none_is_guessed(network, tmp_path):
    content = {'teacher': state(network), 'student': state(network), 'epoch': 1}
    with pytest.raises(BenchError, match=r'several networks: student .*teacher'):
        unwrapped(content)
    plain, place = unwrapped({'state_dict': state(network), 'state_dict_ema': state(network)})
    assert 'others under `state_dict_ema`' in place and len(plain) == len(state(network))
    assert unwrapped({'state_dict': state(network), 'epoch': 3})[1] == ''


def test_whole_numbers_do_not_stand_for_fractions(network, tmp_path):
    bad = state(network)
    bad['backbone.conv1.weight'] = bad['backbone.conv1.weight'].long()
    with pytest.raises(BenchError, match='1 keys other kind'):
        check_weights(saved(tmp_path, bad), network)


def test_a_sparse_tensor_is_looked_into(network, tmp_path):
    assert not_finite({'a': torch.eye(3).to_sparse()}) == []
    assert not_finite({'a': (torch.eye(3) * float('nan')).to_sparse()}) != []
