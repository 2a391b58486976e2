"""Imports every registered module of this room (registry location)."""

from sfda_bench.data import datasets, sampler, transforms

__all__ = ['datasets', 'sampler', 'transforms']
