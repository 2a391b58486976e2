"""The rules by which weights and inputs of the recorded iterations are made.

Nothing is stored that a rule can draw: a tensor is drawn from its name, in the authors' naming.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.random import RandomState
from torch import Tensor

Rule = Callable[[str, np.ndarray], np.ndarray]


def draws(name: str, salt: int = 0) -> RandomState:
    """The generator of a name."""
    return RandomState(zlib.crc32(name.encode()) ^ salt)


def normal_weight(name: str, noise: np.ndarray) -> np.ndarray:
    """What most tensors are made of, from their normal draws.

    Kernels n / sqrt(fan in), scales 1 + 0.1 n, running means 0.2 n, running variances
    1 + 0.2 abs(n), shifts and biases 0.2 n.
    """
    if noise.ndim > 1:
        return noise / np.sqrt(np.prod(noise.shape[1:]))
    if name.endswith('running_var'):
        return 1.0 + 0.2 * np.abs(noise)
    if name.endswith('.weight'):
        return 1.0 + 0.1 * noise
    return 0.2 * noise


def grey_level_weight(name: str, noise: np.ndarray) -> np.ndarray:
    """:func:`normal_weight` where the first convolution sees whole grey levels: that times 0.03."""
    return normal_weight(name, noise) * (0.03 if name == 'conv1.weight' else 1.0)


def fill(
    shapes: Mapping[str, tuple[int, ...]],
    rule: Rule = normal_weight,
    dtype: type[np.floating] = np.float32,
) -> dict[str, Tensor]:
    """Tensors by name; counters of batches are 0.

    Args:
        shapes: Shape of each tensor, by the name that it is drawn from.
        rule: From a name and its normal draws to the values.
        dtype: What the values are rounded to.
    """
    out = {}
    for name, shape in shapes.items():
        if name.endswith('num_batches_tracked'):
            out[name] = torch.zeros((), dtype=torch.int64)
            continue
        noise = draws(name).standard_normal(tuple(shape))
        out[name] = torch.from_numpy(np.asarray(rule(name, noise), dtype=dtype))
    return out


def positions(name: str, size: int, count: int = 4, salt: int = 0) -> np.ndarray:
    """Entries of a flattened tensor that were recorded."""
    return draws(name, salt).randint(0, size, count)


def samples(name: str, tensor: Tensor, count: int = 4, salt: int = 0) -> np.ndarray:
    """The recorded entries of a tensor."""
    flat = tensor.detach().double().numpy().ravel()
    return flat[positions(name, flat.size, count, salt)]
