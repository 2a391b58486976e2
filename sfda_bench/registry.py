"""Child registries of mmseg's, scope ``sfda_bench``.

A config that sets ``default_scope = 'sfda_bench'`` and ``custom_imports =
dict(imports=['sfda_bench.registry'])`` finds our modules first, then mmseg's, then mmengine's.
Whatever is looked up first, every room is searched: a class is found where it stands, not where its
kind is expected.
"""

import importlib
import pkgutil
from types import ModuleType

from mmengine.registry import Registry
from mmseg import registry as _mmseg

_ROOMS = [
    f'sfda_bench.{room}.registered' for room in ('data', 'networks', 'adapt', 'methods', 'engine')
]


def _child(parent: Registry) -> Registry:
    return Registry(parent.name, parent=parent, scope='sfda_bench', locations=_ROOMS)


MODELS = _child(_mmseg.MODELS)
DATASETS = _child(_mmseg.DATASETS)
TRANSFORMS = _child(_mmseg.TRANSFORMS)
DATA_SAMPLERS = _child(_mmseg.DATA_SAMPLERS)
HOOKS = _child(_mmseg.HOOKS)
LOOPS = _child(_mmseg.LOOPS)
METRICS = _child(_mmseg.METRICS)
OPTIMIZERS = _child(_mmseg.OPTIMIZERS)
OPTIM_WRAPPERS = _child(_mmseg.OPTIM_WRAPPERS)
OPTIM_WRAPPER_CONSTRUCTORS = _child(_mmseg.OPTIM_WRAPPER_CONSTRUCTORS)
PARAM_SCHEDULERS = _child(_mmseg.PARAM_SCHEDULERS)
#: Kinds of which we have none; without a child, a lookup in our scope would warn.
OTHERS = tuple(
    _child(registry)
    for name in sorted(_mmseg.__all__)
    if isinstance(registry := getattr(_mmseg, name), Registry) and name not in globals()
)


def import_all(room: ModuleType) -> None:
    """Import every module of a package and of those inside it: found, never listed."""
    for module in pkgutil.walk_packages(room.__path__, f'{room.__name__}.'):
        importlib.import_module(module.name)
