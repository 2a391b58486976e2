"""Imports of the fork server, done once, so that a stage starts in a fraction of a second.

Nothing of ``sfda_bench.methods`` is imported here: method code runs only inside the guard.
"""

import gc

import cv2  # noqa: F401
import matplotlib.pyplot  # noqa: F401
import PIL.Image  # noqa: F401
import torch
import torch._dynamo
import yapf.yapflib.yapf_api  # noqa: F401

from sfda_bench.adapt.thresholds import compile_now
from sfda_bench.stack import import_stack

import_stack()

import sfda_bench.data.registered  # noqa: E402
import sfda_bench.networks.registered  # noqa: E402, F401

torch.set_num_threads(1)
compile_now()

# Every data set that mmengine builds collects garbage: what is loaded here need not be searched.
gc.collect()
gc.freeze()
