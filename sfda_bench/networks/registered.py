"""Imports every registered module of this room (location of the registries)."""

from sfda_bench.networks import caffe_resnet, dlv2_head

__all__ = ['caffe_resnet', 'dlv2_head']
