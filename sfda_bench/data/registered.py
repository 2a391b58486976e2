"""Imports every registered module of this room (registry location)."""

from sfda_bench.data import datasets, pseudo, sampler, stream, transforms

__all__ = ['datasets', 'pseudo', 'sampler', 'stream', 'transforms']
