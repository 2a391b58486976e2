"""ATP's periodic work: the contrast of stage P joins late (code ``uda/atp_semi.py``)."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook

from sfda_bench.adapt.hooks import unwrapped
from sfda_bench.errors import BenchError
from sfda_bench.registry import HOOKS


@HOOKS.register_module()
class ContrastStartHook(Hook):
    """Switch the contrast of a model on (its ``contrasts``) from an iteration on.

    The index is the runner's, so a resumed run goes on as it would have.

    Args:
        begin: Index of the first iteration with the contrast.
    """

    priority = 'NORMAL'

    def __init__(self, begin: int = 1500) -> None:
        if begin < 0:
            raise BenchError(f'contrast from iteration {begin}', '0 or more')
        self.begin = begin

    def before_train(self, runner: Any) -> None:
        """Refuse a model without a contrast.

        Raises:
            BenchError: There is nothing to switch.
        """
        model = unwrapped(runner)
        if not hasattr(model, 'contrasts'):
            raise BenchError(
                f'ContrastStartHook on {type(model).__name__}',
                'a model with the attribute `contrasts`, such as ATPPropagate',
                'leave the hook out of `hooks`',
            )

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """On, or still off."""
        unwrapped(runner).contrasts = runner.iter >= self.begin
