"""Imports all registered building blocks (the registries' entry to this room)."""

from sfda_bench.adapt import adapter, label_groups

__all__ = ['adapter', 'label_groups']
