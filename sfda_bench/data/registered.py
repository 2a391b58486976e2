"""Imports every registered module of this room (registry location)."""

from sfda_bench.data import datasets, pseudo, sampler, transforms

__all__ = ['datasets', 'pseudo', 'sampler', 'transforms']
