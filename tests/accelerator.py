"""A simulated accelerator: a device that holds its data on the CPU and counts what would wait.

Tensors on it are wrappers. An operation that mixes them with CPU tensors of one dimension or more
is refused as a GPU refuses it, and every read by the host, copy to the CPU, or operation whose
output's size depends on values is counted: on a GPU each of these makes the host wait.
"""

from __future__ import annotations

import contextlib
import traceback
from collections import Counter
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils import backend_registration
from torch.utils._pytree import tree_map_only

NAME = 'simulated'
#: Operations whose result the host must know before it goes on.
WAITING = (
    '_local_scalar_dense', 'nonzero', 'masked_select', 'unique', '_unique', '_unique2',
    'unique_dim', 'unique_consecutive', 'bincount', 'equal', 'is_nonzero',
    'repeat_interleave.Tensor',
)  # fmt: skip
#: Allowed with tensors of both devices.
COPIES = ('_to_copy', 'copy_', '_copy_from', '_copy_from_and_resize', 'to')
waits: Counter[str] = Counter()
transfers: Counter[str] = Counter()


class Backend(backend_registration._DummyBackendModule):
    """What torch asks of a device's module."""

    @staticmethod
    def get_amp_supported_dtype() -> list[torch.dtype]:
        """Types of autocast."""
        return [torch.bfloat16, torch.float16]


class Simulated(torch.Tensor):
    """A tensor on the simulated device."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor, requires_grad: bool = False) -> Simulated:
        """Wrap a CPU tensor."""
        made = torch.Tensor._make_wrapper_subclass(
            cls, held.size(), strides=held.stride(), storage_offset=held.storage_offset(),
            dtype=held.dtype, layout=held.layout, device=torch.device(NAME, 0),
            requires_grad=requires_grad,
        )  # fmt: skip
        made.held = held
        return made

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        """Shape and type: no values, which would be a read."""
        return f'Simulated({tuple(self.shape)}, {self.dtype})'

    def tolist(self) -> Any:
        """Values on the host: one wait."""
        note(waits, 'tolist')
        return self.held.tolist()

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        """Run an operation on what is held."""
        return run(func, args, kwargs or {})


def run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """An operation whose tensors, or whose ``device``, are simulated."""
    name = func._schema.name.split('::')[-1]
    overload = f'{name}.{func._overloadname}'
    if name == '_to_copy' or (name == 'to' and 'device' in kwargs):
        return _copied(func, args, kwargs)
    flat: list[torch.Tensor] = []
    tree_map_only(torch.Tensor, flat.append, (args, kwargs))
    if name not in COPIES:
        foreign = [t for t in flat if not isinstance(t, Simulated) and t.dim()]
        indexed = name in ('index', 'index_put', 'index_put_', '_index_put_impl_')
        if foreign and any(isinstance(t, Simulated) for t in flat) and not indexed:
            raise RuntimeError(f'{name}: tensors on the device and on the CPU: {foreign[0].shape}')
        if foreign and indexed:
            note(transfers, f'{name} by an index of the CPU')
    elif len(flat) > 1 and isinstance(flat[0], Simulated) != isinstance(flat[1], Simulated):
        down = not isinstance(flat[0], Simulated)
        note(waits if down else transfers, f'{name} to the {"CPU" if down else "device"}')
    if name in WAITING or overload in WAITING or _by_mask(name, args):
        note(waits, name)
    if kwargs.get('device') is not None:
        kwargs = {**kwargs, 'device': torch.device('cpu')}
    unwrapped = tree_map_only(Simulated, lambda t: t.held, (args, kwargs))
    out = func(*unwrapped[0], **unwrapped[1])
    return _wrapped(out, args, unwrapped[0], func)


def _wrapped(out: Any, args: Any, inner: Any, func: Any) -> Any:
    """Results on the device; what was changed in place keeps its wrapper."""
    known = {}
    tree_map_only(Simulated, lambda t: known.setdefault(id(t.held), t), args)
    simulated = bool(known) or not any(isinstance(a, torch.Tensor) for a in args)

    def wrap(tensor: torch.Tensor) -> torch.Tensor:
        if id(tensor) in known:
            return known[id(tensor)]
        first = args[0] if args else None
        if isinstance(first, torch.Tensor) and not isinstance(first, Simulated) and tensor is first:
            return tensor
        return Simulated(tensor) if simulated else tensor

    return tree_map_only(torch.Tensor, wrap, out)


def _by_mask(name: str, args: Any) -> bool:
    if name not in ('index', 'index_put', 'index_put_', '_index_put_impl_'):
        return False
    return any(
        isinstance(i, torch.Tensor) and i.dtype in (torch.bool, torch.uint8) for i in args[1]
    )


def _copied(func: Any, args: Any, kwargs: dict[str, Any]) -> torch.Tensor:
    tensor, device = args[0], kwargs.pop('device', None)
    here = isinstance(tensor, Simulated)
    there = here if device is None else torch.device(device).type == NAME
    held = tensor.held if here else tensor
    kwargs.pop('pin_memory', None)
    held = func(held, *args[1:], **kwargs)
    if here and not there:
        note(waits, 'copy to the CPU')
    if there and not here:
        note(transfers, 'copy to the device')
    return Simulated(held) if there else held


def note(counter: Counter[str], what: str) -> None:
    """Count something with the line of the package that caused it."""
    stack = traceback.extract_stack()
    where = '?'
    for part in ('/site-packages/mm', '/sfda_bench/'):  # ours counts where both are
        frames = [frame for frame in stack if part in frame.filename]
        if frames:
            where = f'{frames[-1].filename.rpartition(part)[2]}:{frames[-1].lineno}'
    counter[f'{what} at {where}'] += 1


class Generator(torch.Generator):
    """Random numbers: of the CPU for the simulated device, which cannot make its own."""

    def __new__(cls, device: Any = 'cpu') -> torch.Generator:
        """As torch's."""
        simulated = torch.device(device).type == NAME
        return super().__new__(cls, 'cpu' if simulated else device)


_library: list[torch.library.Library] = []


def register() -> torch.device:
    """Register the device with torch, once a process."""
    if not _library:
        backend_registration._setup_privateuseone_for_python_backend(NAME, Backend())
        library = torch.library.Library('_', 'IMPL')
        library.fallback(lambda func, *args, **kwargs: run(func, args, kwargs), 'PrivateUse1')
        _library.append(library)
        torch.Generator = Generator
    return torch.device(NAME, 0)


@contextlib.contextmanager
def counted() -> Iterator[tuple[Counter[str], Counter[str]]]:
    """Waits and transfers of the block, by what caused them."""
    waits.clear()
    transfers.clear()
    yield waits, transfers
