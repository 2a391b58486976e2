"""Imports every module of this room, so that the registries find what stands in them."""

import sfda_bench.methods
from sfda_bench.registry import import_all

import_all(sfda_bench.methods)
