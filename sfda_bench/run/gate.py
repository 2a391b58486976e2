"""The gate: a foreign checkpoint must show its stated source-only score before anything adapts.

Runs as a stage of its own between the source's score and the first adaptation. Outside the
tolerance it tries the usual causes on a few images (``sfda_bench.networks.diagnosis``) and fails,
naming the one that restores the score.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sfda_bench.atomic import write_text
from sfda_bench.networks.checkpoints.reading import read_file
from sfda_bench.networks.diagnosis import Variant, diagnose, passes, refusal
from sfda_bench.scoring.confusion import mean_iou
from sfda_bench.scoring.protocols import load_scoring
from sfda_bench.scoring.scores import score
from sfda_bench.store.record import load_counts
from sfda_bench.store.runs import GATE_NAME


def run_gate(config: Any, work_dir: Path) -> None:
    """Compare the source's score with its card's.

    Args:
        config: A gate stage's resolved config: a score stage's, with ``stage.gate`` holding
            ``expected``, ``tolerance`` (points), ``scoring``, ``images`` and ``network``.
        work_dir: The run's folder.

    Raises:
        BenchError: The scores differ; lists the likely causes with what each one scored.
    """
    gate = config.stage.gate.to_dict()
    counts, _, conditions = load_counts(Path(config.stage.gate_counts))
    measured = score(counts, conditions, load_scoring(gate['scoring'])).miou or 0.0
    facts = {'measured': measured, 'expected': gate['expected'], 'tolerance': gate['tolerance']}
    if passes(measured, gate['expected'], gate['tolerance']):
        write_text(work_dir / GATE_NAME, json.dumps(facts))
        return
    dataset = config.test_dataloader.dataset.to_dict()
    task_map = config.test_evaluator.get('prediction_map')
    found = diagnose(
        FewImages(config, gate['images']),
        gate['network'],
        config.model.to_dict().get('module') or config.model.to_dict(),
        expected=gate['expected'],
        measured=measured,
        tolerance=gate['tolerance'],
        counts=None if task_map else counts.sum(axis=0, dtype=np.int64),
        task_map=task_map,
        resizes=any(step['type'] == 'ResizeTo' for step in dataset['pipeline']),
    )
    raise refusal(found, config.stage.get('origin') or config.load_from, gate['network']['name'])


class FewImages:
    """Scores variants of a network on the same few images.

    Args:
        config: The gate stage's config.
        images: How many images, spread evenly over the set.
        device: Where they are predicted; ``None``: on a GPU if there is one.
    """

    def __init__(self, config: Any, images: int, device: torch.device | None = None) -> None:
        self.config, self.images, self.device = config, images, device
        self.state = read_file(config.load_from)

    def __call__(self, variant: Variant) -> float:
        """MIoU in percent."""
        from mmengine.config import ConfigDict
        from mmengine.registry import init_default_scope

        from sfda_bench.registry import DATASETS, METRICS, MODELS

        init_default_scope('sfda_bench')
        dataset = DATASETS.build(self._dataset(variant))
        plain = copy.deepcopy(variant.model)
        whole = self.config.model.to_dict()  # a protocol of its own wraps the segmentor
        model = MODELS.build(ConfigDict({**whole, 'module': plain} if 'module' in whole else plain))
        model.load_state_dict(self.state['state_dict'])
        gpu = 'cuda' if torch.cuda.is_available() else 'cpu'
        model.to(self.device or gpu).eval()
        evaluator = self.config.test_evaluator.to_dict()
        evaluator.update(out_file=None, save_predictions=None)
        if variant.prediction_map:
            evaluator['prediction_map'] = list(variant.prediction_map)
        metric = METRICS.build(evaluator)
        chosen = np.unique(np.linspace(0, len(dataset) - 1, self.images).astype(int))
        for index in chosen:
            item = dataset[int(index)]
            batch = {'inputs': [item['inputs']], 'data_samples': [item['data_samples']]}
            with torch.no_grad():
                samples = model.test_step(batch)
            metric.process(batch, [sample.to_dict() for sample in samples])
        total = sum(counts.astype(np.int64) for *_, counts in metric.results)
        return 100.0 * float(mean_iou(total))

    def _dataset(self, variant: Variant) -> dict[str, Any]:
        dataset = self.config.test_dataloader.dataset.to_dict()
        for step in dataset['pipeline']:
            if step['type'] == 'ResizeTo':
                step.update(lib=variant.network['input']['lib'])
                step.update(mode=variant.network['input']['mode'])
        return dataset
