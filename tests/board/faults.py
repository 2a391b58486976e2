"""Ten deliberate faults: what is replaced by what, which tests mirror it, which entry shows it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

GTA5, SYNTHIA = 'gta5_to_cityscapes', 'synthia_to_cityscapes'


@dataclass(frozen=True)
class Fault:
    """One replacement in a copy of the repository.

    Attributes:
        name: What is wrong.
        file: The file, relative to the repository.
        old: Text that stands in it exactly once.
        new: What replaces it.
        tests: Files of the tests that mirror it.
        task: Task of the entry that the regression check runs.
        method: Its method.
        names: What the check must call the first difference.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    task: str
    method: str
    names: str

    def put_into(self, root: Path) -> None:
        """Make the fault in a copy.

        Raises:
            LookupError: The text is no longer there, or stands there more than once.
        """
        path = root / self.file
        text = path.read_text()
        if text.count(self.old) != 1:
            raise LookupError(
                f'{self.name}: {self.old!r} is {text.count(self.old)}x in {self.file}'
            )
        path.write_text(text.replace(self.old, self.new))


FAULTS = (
    Fault(
        'wrong class order',
        'sfda_bench/labels.py',
        '3: 0, 4: 1, 2: 2, 21: 3',
        '3: 1, 4: 0, 2: 2, 21: 3',
        ('tests/test_labels.py', 'tests/data/test_transforms.py'),
        SYNTHIA,
        'source_only',
        'code sfda_bench.labels changed',
    ),
    Fault(
        'teacher never updated',
        'sfda_bench/adapt/mean_teacher.py',
        'elif step % self.interval == 0:',
        'elif step < 0:',
        ('tests/adapt/test_mean_teacher.py',),
        GTA5,
        'iapc',
        'code sfda_bench.adapt.mean_teacher changed',
    ),
    Fault(
        'threshold off by one class',
        'sfda_bench/adapt/thresholds.py',
        'lower_edge(b) or 1.0 for b in bins],',
        'lower_edge(b) or 1.0 for b in bins[1:] + bins[:1]],',
        ('tests/adapt/test_thresholds.py',),
        GTA5,
        'cbst',
        'code sfda_bench.adapt.thresholds changed',
    ),
    Fault(
        'loss weight 0',
        'sfda_bench/methods/iapc/losses.py',
        'return (weighted if weight is None else weight * weighted).mean()',
        'return 0.0 * (weighted if weight is None else weight * weighted).mean()',
        ('tests/methods/test_iapc.py',),
        GTA5,
        'iapc',
        'code sfda_bench.methods.iapc.losses changed',
    ),
    Fault(
        'BN in wrong mode',
        'sfda_bench/adapt/norm.py',
        "layer.train(mode != 'eval')",
        "layer.train(mode == 'eval')",
        ('tests/adapt/test_norm.py',),
        GTA5,
        'tent',
        'code sfda_bench.adapt.norm changed',
    ),
    Fault(
        'label interpolation bilinear',
        'sfda_bench/data/transforms.py',
        'interpolation=cv2.INTER_NEAREST',
        'interpolation=cv2.INTER_LINEAR',
        ('tests/data/test_transforms.py',),
        GTA5,
        'source_only',
        'code sfda_bench.data.transforms changed',
    ),
    Fault(
        'ignore index 0',
        'sfda_bench/engine/metric.py',
        'ignore_index: int = IGNORE,',
        'ignore_index: int = 0,',
        ('tests/scoring/test_confusion.py',),
        GTA5,
        'source_only',
        'code sfda_bench.engine.metric changed',
    ),
    Fault(
        'flipped mask',
        'sfda_bench/adapt/selection.py',
        'return torch.where(ratio >= 1, labels, IGNORE)',
        'return torch.where(ratio < 1, labels, IGNORE)',
        ('tests/adapt/test_selection.py',),
        GTA5,
        'cbst',
        'code sfda_bench.adapt.selection changed',
    ),
    Fault(
        'stale prototypes',
        'sfda_bench/methods/atp/propagate.py',
        'self.prototypes.update(pixels(features), small.flatten())',
        'del features, small',
        ('tests/methods/test_atp.py',),
        GTA5,
        'atp',
        'code sfda_bench.methods.atp.propagate changed',
    ),
    Fault(
        'learning rate x10',
        'mm_configs/networks/deeplabv2_pocket.py',
        "optimizer=dict(type='Adam', lr=5e-3,",
        "optimizer=dict(type='Adam', lr=5e-2,",
        ('tests/networks/test_architectures.py',),
        GTA5,
        'source_only',
        'config source.optim_wrapper.optimizer.lr: 0.005 -> 0.05',
    ),
)
