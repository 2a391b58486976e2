"""Imports every method file of this room: methods are discovered, never listed."""

import importlib
import pkgutil

import sfda_bench.methods as _room

for _module in pkgutil.iter_modules(_room.__path__):
    if _module.name != 'registered':
        importlib.import_module(f'{_room.__name__}.{_module.name}')
