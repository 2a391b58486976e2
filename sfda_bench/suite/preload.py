"""Imported once by the fork server, so that a stage starts in a fraction of a second.

Nothing of ``sfda_bench.methods`` is imported here: method code runs only inside the guard.
"""

from sfda_bench.suite.process import silence

silence()

import cv2  # noqa: E402, F401
import mmengine.runner  # noqa: E402, F401
import mmseg.models  # noqa: E402
import PIL.Image  # noqa: E402, F401
import torch  # noqa: E402

import sfda_bench.data.registered  # noqa: E402, F401
import sfda_bench.networks.registered  # noqa: E402, F401

torch.set_num_threads(1)
__all__ = ['mmseg']
