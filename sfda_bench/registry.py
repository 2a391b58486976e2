"""Child registries of mmseg's, scope ``sfda_bench``.

A config that sets ``default_scope = 'sfda_bench'`` and ``custom_imports =
dict(imports=['sfda_bench.registry'])`` finds our modules first, then mmseg's, then mmengine's.
"""

from mmengine.registry import Registry
from mmseg import registry as _mmseg

_ROOMS = [f'sfda_bench.{room}.registered' for room in ('data', 'networks', 'adapt', 'methods')]
_ENGINE = ['sfda_bench.suite.engine']


def _child(parent: Registry, locations: list[str]) -> Registry:
    return Registry(parent.name, parent=parent, scope='sfda_bench', locations=locations)


MODELS = _child(_mmseg.MODELS, _ROOMS[1:])
DATASETS = _child(_mmseg.DATASETS, _ROOMS[:1])
TRANSFORMS = _child(_mmseg.TRANSFORMS, _ROOMS[:1])
DATA_SAMPLERS = _child(_mmseg.DATA_SAMPLERS, _ROOMS[:1])
HOOKS = _child(_mmseg.HOOKS, [*_ROOMS[2:], *_ENGINE])
LOOPS = _child(_mmseg.LOOPS, [*_ROOMS[2:], *_ENGINE])
METRICS = _child(_mmseg.METRICS, [*_ROOMS[2:], *_ENGINE])
OPTIM_WRAPPER_CONSTRUCTORS = _child(_mmseg.OPTIM_WRAPPER_CONSTRUCTORS, _ROOMS[1:])
