import os

import pytest
import torch

from sfda_bench.errors import BenchError
from sfda_bench.networks.checkpoints.reading import read_file


class Harmful:
    """Unpickling it creates a folder."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.fixture
def harmful(tmp_path):
    path = tmp_path / 'harmful.pth'
    torch.save({'state_dict': {'a': torch.zeros(1)}, 'x': Harmful(tmp_path / 'made')}, path)
    return path


def test_code_in_a_pickle_is_refused_and_named(harmful):
    with pytest.raises(BenchError, match=r'mkdir') as error:
        read_file(harmful)
    assert '--trust' in str(error.value)
    assert not (harmful.parent / 'made').exists()


def test_trust_reads_it(harmful):
    assert 'a' in read_file(harmful, trust=True)['state_dict']
    assert (harmful.parent / 'made').exists()


def test_harm_hidden_among_log_objects_is_refused(harmful, tmp_path):
    from mmengine.logging import HistoryBuffer

    path = tmp_path / 'mixed.pth'
    content = {'log': HistoryBuffer([1.0], [1]), 'x': Harmful(tmp_path / 'made')}
    torch.save(content, path)
    with pytest.raises(BenchError, match='mkdir'):
        read_file(path)
    assert not (tmp_path / 'made').exists()


def test_old_file_format(tmp_path):
    path = tmp_path / 'old.pth'
    torch.save({'a': torch.ones(2)}, path, _use_new_zipfile_serialization=False)
    assert torch.equal(read_file(path)['a'], torch.ones(2))


@pytest.mark.parametrize('content', [b'', b'<html>404</html>', b'PK\x03\x04broken'])
def test_other_files_are_not_checkpoints(tmp_path, content):
    path = tmp_path / 'x.pth'
    path.write_bytes(content)
    with pytest.raises(BenchError, match='is not a checkpoint'):
        read_file(path)


def test_truncated_checkpoint(tmp_path):
    path = tmp_path / 'x.pth'
    torch.save({'a': torch.ones(1000)}, path)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(BenchError, match='is not a checkpoint'):
        read_file(path)


def test_missing_file(tmp_path):
    with pytest.raises(BenchError, match=r'no file .*nowhere\.pth'):
        read_file(tmp_path / 'nowhere.pth')
