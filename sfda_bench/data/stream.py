"""Target images in the order in which they arrive at a model that adapts while it predicts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmengine.dataset import BaseDataset

from sfda_bench.data.datasets import UnlabelledTarget
from sfda_bench.data.draws import PositionedDraws
from sfda_bench.errors import BenchError
from sfda_bench.registry import DATASETS
from sfda_bench.stream_ids import round_id


def arrange(infos: Sequence[dict], order: Sequence[str] | None, rounds: int) -> list[dict]:
    """Items of a stream: the images by condition, the whole sequence ``rounds`` times.

    Args:
        infos: One dict an image with ``sample_id`` and ``condition``, in the order of their files,
            which is kept inside a condition.
        order: Conditions as they follow each other, those that are absent included; ``None``: the
            order of the files.
        rounds: How often the sequence is shown.

    Returns:
        Copies with ``round`` (from 1), ``position`` (from 0) and a ``sample_id`` that is unique in
        the stream.

    Raises:
        BenchError: ``rounds`` is below 1, or ``order`` lacks a condition of an image.
    """
    if rounds < 1:
        raise BenchError(f'a stream of {rounds} rounds', '1 or more')
    if order is not None:
        found = {info['condition'] for info in infos}
        if not found <= set(order):
            raise BenchError(
                f'a stream in the order {", ".join(order)}',
                f'each of {", ".join(sorted(found))}',
                'correct `order` of the stage, or `stream_order` of the task',
            )
        infos = sorted(infos, key=lambda info: list(order).index(info['condition']))
    return [
        {
            **info,
            'round': number,
            'position': (number - 1) * len(infos) + place,
            'sample_id': round_id(info['sample_id'], number, rounds),
        }
        for number in range(1, rounds + 1)
        for place, info in enumerate(infos)
    ]


@DATASETS.register_module()
class TargetStream(UnlabelledTarget):
    """Unlabelled target images as a stream.

    Args:
        dataset: Config of the target data set.
        order: See :func:`arrange`.
        rounds: See :func:`arrange`.
        **kwargs: See :class:`~sfda_bench.data.datasets.UnlabelledTarget`.
    """

    def __init__(
        self, dataset: dict, order: Sequence[str] | None = None, rounds: int = 1, **kwargs: Any
    ) -> None:
        self.order, self.rounds = order, rounds
        super().__init__(dataset, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Return the items in the order of the stream."""
        return arrange(super().load_data_list(), self.order, self.rounds)


@DATASETS.register_module()
class LabelledStream(PositionedDraws, BaseDataset):
    """The same stream with labels, to score what was predicted on it.

    Args:
        dataset: Config of the labelled data set.
        order: See :func:`arrange`.
        rounds: See :func:`arrange`.
        **kwargs: As in mmengine's ``BaseDataset``.
    """

    def __init__(
        self, dataset: dict, order: Sequence[str] | None = None, rounds: int = 1, **kwargs: Any
    ) -> None:
        self.dataset_cfg = {**dataset, 'pipeline': []}
        self.order, self.rounds = order, rounds
        super().__init__(**kwargs)

    def load_data_list(self) -> list[dict]:
        """Return the items in the order of the stream."""
        inner = DATASETS.build(self.dataset_cfg)
        infos = [inner.get_data_info(i) for i in range(len(inner))]
        return arrange(infos, self.order, self.rounds)
