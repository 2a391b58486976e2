"""Imports every building block of this room (the registries' entry to it)."""

import importlib
import pkgutil

import sfda_bench.adapt as _room

for _module in pkgutil.iter_modules(_room.__path__):
    if _module.name not in ('registered', 'benchmark'):
        importlib.import_module(f'{_room.__name__}.{_module.name}')
