"""Imports every registered module of this room (registry location)."""

from sfda_bench.data import datasets, packing, pseudo, sampler, stream, transforms

__all__ = ['datasets', 'packing', 'pseudo', 'sampler', 'stream', 'transforms']
