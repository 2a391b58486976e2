"""mmengine hooks and metrics of a stage process (imported by the registries)."""

from sfda_bench.suite.engine.checkpoint import ExportHook, StageCheckpointHook
from sfda_bench.suite.engine.metric import ConfusionMetric
from sfda_bench.suite.engine.online import OnlineAdaptLoop
from sfda_bench.suite.engine.progress import ProgressHook
from sfda_bench.suite.engine.watch import WatchHook

__all__ = [
    'ConfusionMetric',
    'ExportHook',
    'OnlineAdaptLoop',
    'ProgressHook',
    'StageCheckpointHook',
    'WatchHook',
]
