"""DT-ST's copy-paste of candidates, and the passes that renew them (TCR).

Source: DT-ST (CVPR 2023), code ``train_TCR_DTU.py`` and ``rand_mixer_v2``.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from mmengine.hooks import Hook
from numpy.typing import NDArray

from sfda_bench import interrupts
from sfda_bench.adapt.hooks import unwrapped
from sfda_bench.data.images import open_image
from sfda_bench.data.transforms import ResizeTo
from sfda_bench.errors import BenchError
from sfda_bench.methods.dt_st.candidates import (
    Candidates,
    consistency,
    consistency_thresholds,
    reduced,
    without_classes,
)
from sfda_bench.methods.dt_st.pasting import RARE, paste_pieces, pieces
from sfda_bench.registry import HOOKS

FOLDER_NAME = 'candidates'
Row = tuple[str, str, tuple[int, int], NDArray[np.uint8]]


@HOOKS.register_module()
class CandidatePasteHook(Hook):
    """Paste before each iteration into the images of the branch ``student``; renew the candidates.

    A pass labels all training images with the teacher. An image loses the classes whose IoU with
    the pass before is below the median of the images. Draws depend on the seed and the iteration,
    passes lie in the run's folder by their number: a resumed run goes on as it would have.

    Args:
        labels: Folder of the first candidates, of ``CandidateWriter``.
        interval: Iterations between two passes; ``None``: the first candidates throughout.
        portion: Place of the threshold among the images' IoUs.
        reduce: Every how many-th row and column of new maps is stored.
        least: Pixels of a class in an image, at the size of its file, that it is cut from.
        least_piece: Pixels of an object.
        scale: Least and greatest scale of an object.
        input_size: (width, height) of the network's input in a pass; None: that of the file.
        lib: Library that resizes it, see :class:`~sfda_bench.data.transforms.ResizeTo`.
        mode: Likewise.
    """

    priority = 'NORMAL'

    def __init__(
        self,
        labels: str,
        interval: int | None = 3000,
        portion: float = 0.5,
        reduce: int = 2,
        least: int = 50,
        least_piece: int = 20,
        scale: tuple[float, float] = (1.0, 2.5),
        input_size: tuple[int, int] | None = (1536, 768),
        lib: Literal['cv2', 'pillow'] = 'pillow',
        mode: Literal['bicubic', 'bilinear'] = 'bicubic',
    ) -> None:
        if interval is not None and interval < 1:
            raise BenchError(f'interval {interval} of the candidate passes', '1 or more, or None')
        self.labels, self.interval, self.portion = Path(labels), interval, portion
        self.reduce, self.least, self.least_piece = reduce, least, least_piece
        self.scale = (float(scale[0]), float(scale[1]))
        self.resize = ResizeTo(input_size, lib, mode)
        self._current: tuple[int, Candidates] | None = None

    # --- pasting --------------------------------------------------------------------------------

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Paste in place."""
        if not isinstance(data_batch, dict) or 'student' not in data_batch:
            return
        branch = data_batch['student']
        pairs = zip(branch['inputs'], branch['data_samples'], strict=True)
        seed = int(getattr(runner, 'seed', 0) or 0)
        for place, (image, sample) in enumerate(pairs):
            rng = np.random.default_rng([seed, int(runner.iter), place])
            target = sample.gt_sem_seg.data[0].numpy()
            self.paste(self.candidates(runner), image.numpy().transpose(1, 2, 0), target, rng)

    def paste(
        self,
        candidates: Candidates,
        image: NDArray[np.uint8],
        target: NDArray,
        rng: np.random.Generator,
    ) -> None:
        """Paste objects of one class, drawn uniformly among those that some image holds."""
        classes = candidates.classes
        held = {index: candidates.holders(index) for index in RARE.get(classes, range(classes))}
        present = [index for index, names in held.items() if names]
        if not present:
            return
        label = present[int(rng.integers(len(present)))]
        name = held[label][int(rng.integers(len(held[label])))]
        raw = open_image(candidates.images[name]['path'])
        objects = pieces(raw, candidates.read(name), label, classes, self.least_piece)
        paste_pieces(image, target, objects, label, rng, self.scale)

    def candidates(self, runner: Any) -> Candidates:
        """Those in use at the runner's iteration."""
        number = 0 if self.interval is None else int(runner.iter) // self.interval
        if self._current is None or self._current[0] != number:
            self._current = number, Candidates(self.folder(runner, number))
        return self._current[1]

    def folder(self, runner: Any, number: int) -> Path:
        """Of a pass; 0 is the first."""
        return Path(runner.work_dir) / FOLDER_NAME / str(number) if number else self.labels

    # --- passes ---------------------------------------------------------------------------------

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Make a pass when it is due and followed by iterations."""
        done = runner.iter + 1
        if self.interval is None or done % self.interval or done >= runner.max_iters:
            return
        number = done // self.interval
        before = Candidates(self.folder(runner, number - 1))
        self.renew(runner, before, self.folder(runner, number))
        if number > 2:  # a run resumed before this pass needs the last one
            shutil.rmtree(self.folder(runner, number - 2), ignore_errors=True)

    def after_train(self, runner: Any) -> None:
        """Leave no candidates in the run's folder."""
        shutil.rmtree(Path(runner.work_dir) / FOLDER_NAME, ignore_errors=True)

    def renew(self, runner: Any, before: Candidates, folder: Path) -> None:
        """One pass with the teacher, compared with the one before."""
        rows: list[Row] = []
        scores = []
        for name, path, labels in self.predicted(runner):
            scores.append(consistency(labels, before.read(name, 'whole'), before.classes))
            size = (labels.shape[0], labels.shape[1])
            rows.append((name, path, size, reduced(labels, self.reduce)))
        found = np.stack(scores)
        dropped = found < consistency_thresholds(found, self.portion)
        Candidates.write(
            folder,
            before.classes,
            (
                (name, path, size, without_classes(small, lost), small)
                for (name, path, size, small), lost in zip(rows, dropped, strict=True)
            ),
            self.least,
        )

    @torch.no_grad()
    def predicted(self, runner: Any) -> Iterator[tuple[str, str, NDArray[np.uint8]]]:
        """Id, path and the teacher's labels (H, W) at the file's size, of all training images."""
        model: Any = unwrapped(runner)
        dataset = runner.train_dataloader.dataset
        teacher = model.averaged()[0][0]
        was_training = teacher.training
        teacher.eval()
        for index in range(len(dataset)):
            interrupts.check()
            info = dataset.get_data_info(index)
            image = open_image(info['img_path'])
            view = self.resize.transform({'img': image})['img'].transpose(2, 0, 1)
            tensor = torch.from_numpy(np.ascontiguousarray(view))
            batch = {'inputs': [tensor], 'data_samples': None}
            inputs = model.data_preprocessor(batch, False)['inputs']
            with runner.optim_wrapper.optim_context(model):
                maps = model.logits_of(teacher, inputs, image.shape[:2])
            labels = maps[0].argmax(dim=0).to(torch.uint8).cpu().numpy()
            yield info['sample_id'], str(info['img_path']), labels
        teacher.train(was_training)
        model.train()
