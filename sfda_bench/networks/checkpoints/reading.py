"""Reading checkpoint files without running code that came with them."""

from __future__ import annotations

import pickle
import types
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch

from sfda_bench.errors import BenchError
from sfda_bench.reading import DAMAGE, first_line, looks_like, read_start

WRITTEN, AGAIN = 'a file written by torch.save', 'fetch or copy it again'
# What a runner of mmengine saves beside the weights: its log buffers. Read as inert placeholders.
_LOG_OBJECTS = (
    'mmengine.logging.history_buffer.HistoryBuffer',
    'builtins.getattr',
    'numpy.ndarray',
    'numpy.dtype',
    'numpy._core.multiarray._reconstruct',
    'numpy.core.multiarray._reconstruct',
    'numpy._core.multiarray.scalar',
    'numpy.core.multiarray.scalar',
)
_TENSOR_GLOBALS = {
    ('collections', 'OrderedDict'): OrderedDict,
    ('torch._utils', '_rebuild_tensor_v2'): torch._utils._rebuild_tensor_v2,
    ('torch._utils', '_rebuild_parameter'): torch._utils._rebuild_parameter,
    ('torch', 'Size'): torch.Size,
}


def read_file(path: Path | str, trust: bool = False) -> Any:
    """Read a checkpoint file onto the CPU.

    Args:
        path: A file written by ``torch.save``.
        trust: Also run the code a pickle may carry. Off: tensors and plain containers only; the
            log buffers of an mmengine runner are replaced by empty placeholders.

    Raises:
        BenchError: Missing file, not a checkpoint, or a pickle that needs ``trust``; the message
            names the objects it would create.
    """
    path = Path(path)
    start = read_start(path, WRITTEN, AGAIN)
    if not start.startswith((b'PK\x03\x04', b'\x80')):
        told = looks_like(start)
        found = f'{path} is not a checkpoint{": " if told else ""}{told}'
        raise BenchError(found, WRITTEN, AGAIN)
    _require_whole(path)
    try:
        return torch.load(path, map_location='cpu', weights_only=not trust)
    except pickle.UnpicklingError as error:
        needed = _foreign_globals(path)
        if not trust and needed and set(needed) <= set(_LOG_OBJECTS):
            return torch.load(path, map_location='cpu', weights_only=False, pickle_module=_INERT)
        if trust:
            raise _no_checkpoint(path, error) from None
        if not needed and not _is_old_format(path):
            raise _no_checkpoint(path, error) from None
        named = ', '.join(needed) or 'which ones cannot be told in this old file format'
        raise BenchError(
            f'{path} holds Python objects besides tensors: {named}',
            'tensors in plain containers; reading anything else may run code',
            'if you trust its origin: tools/convert_checkpoint.py convert --trust',
        ) from None
    except (OSError, *DAMAGE) as error:
        raise _no_checkpoint(path, error) from None


def _no_checkpoint(path: Path, error: Exception) -> BenchError:
    return BenchError(f'{path} is not a checkpoint: {first_line(error)}', WRITTEN, AGAIN)


#: What torch wrote first into its files before 1.6, as a pickled number.
_OLD_MAGIC = 0x1950A86A20F9469CFC6C


def _is_old_format(path: Path) -> bool:
    """Whether a file begins as torch's files of before 1.6 do."""
    magic = pickle.dumps(_OLD_MAGIC, protocol=2)
    with path.open('rb') as file:
        return file.read(len(magic)) == magic


def _require_whole(path: Path) -> None:
    """Refuse an archive with damaged members: torch does not compare their checksums."""
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.rpartition('/')[2] for name in archive.namelist()]
            broken = archive.testzip()
    except (OSError, *DAMAGE) as error:
        raise BenchError(f'{path} is damaged: {first_line(error)}', 'a whole file', AGAIN) from None
    if 'data.pkl' not in names:
        raise BenchError(
            f'{path} is an archive without weights, of {", ".join(names[:4])}', WRITTEN, AGAIN
        )
    if broken:
        raise BenchError(
            f'{path} is damaged: the checksum (CRC) of {broken} is wrong',
            'a whole file',
            AGAIN,
        )


def _foreign_globals(path: Path) -> list[str]:
    """Names a pickle refers to beyond what ``weights_only`` allows; empty if that is unknown."""
    try:
        from torch.serialization import get_unsafe_globals_in_checkpoint

        return list(get_unsafe_globals_in_checkpoint(str(path)))
    except (ImportError, RuntimeError, OSError, ValueError, pickle.UnpicklingError):
        return []


class _Placeholder:
    """Takes the place of any object that is not a tensor; does nothing."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __call__(self, *args: Any, **kwargs: Any) -> _Placeholder:
        return self

    def __setstate__(self, state: Any) -> None:
        pass


class _InertUnpickler(pickle.Unpickler):
    """Rebuilds tensors and plain containers; every other name becomes a placeholder."""

    def find_class(self, module: str, name: str) -> Any:
        """The few globals tensors need, else the placeholder class."""
        return _TENSOR_GLOBALS.get((module, name), _Placeholder)


def _inert_load(file: Any, **options: Any) -> Any:
    return _InertUnpickler(file, **options).load()


# torch.load wants a module with the interface of pickle
_INERT: Any = types.SimpleNamespace(
    __name__='inert_pickle', Unpickler=_InertUnpickler, load=_inert_load
)
