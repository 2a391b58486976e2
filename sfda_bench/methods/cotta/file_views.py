"""CoTTA with views made of the file, as its segmentation code makes them.

Where the inference protocol has several views, a stream's pipeline makes all of them of each image,
as a tester's would: a view larger than the input then has the detail of the file.
"""

from __future__ import annotations

from typing import Any

from mmengine.optim import OptimWrapper
from torch import Tensor

from sfda_bench.errors import BenchError
from sfda_bench.methods.cotta.adapter import CoTTA
from sfda_bench.registry import MODELS


@MODELS.register_module()
class CoTTAFileViews(CoTTA):
    """:class:`~sfda_bench.methods.cotta.adapter.CoTTA`, its views given with the image.

    An image is as there. A batch holds a list a view, by scale and then by mirroring, in the order
    of ``scales``; the plain view is what the student learns from.

    Args:
        segmentor: See :class:`~sfda_bench.adapt.adapter.Adapter`.
        **kwargs: See :class:`~sfda_bench.methods.cotta.adapter.CoTTA`.
    """

    def __init__(self, segmentor: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(segmentor, **kwargs)
        self.given: dict[tuple[float, bool], Tensor] = {}

    def adapt_step(self, data: dict, optim_wrapper: OptimWrapper | None = None) -> list:
        """Predict one image and adapt to it.

        Raises:
            BenchError: Another number of views than the method has, or as the base.
        """
        parts = [{key: value[i] for key, value in data.items()} for i in range(len(data['inputs']))]
        if len(parts) != len(self.views):
            raise BenchError(
                f'{len(parts)} views of an image', f'{len(self.views)}: scales, each with flip'
            )
        named = dict(zip(self.views, parts, strict=True))
        plain = named.pop((1.0, False))
        for view, part in named.items():
            self.given[view] = self.data_preprocessor(part, False)['inputs']
        try:
            return super().adapt_step(plain, optim_wrapper)
        finally:
            # a checkpoint of the stream holds the model, not its last image
            self.given = {}

    def view(self, images: Tensor, scale: float, mirrored: bool) -> Tensor:
        """The view that came with the images; these themselves are the plain one."""
        return images if scale == 1.0 and not mirrored else self.given[scale, mirrored]
