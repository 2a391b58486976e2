"""Imports every registered module of this room (location of the registries)."""

from sfda_bench.networks import (
    caffe_resnet,
    daformer_head,
    dlv2_head,
    fused,
    mit,
    optim,
    resnet38,
    vgg16,
)

__all__ = [
    'caffe_resnet',
    'daformer_head',
    'dlv2_head',
    'fused',
    'mit',
    'optim',
    'resnet38',
    'vgg16',
]
