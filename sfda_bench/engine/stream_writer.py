"""What a stream leaves behind: every prediction as a label map, and the order they were made in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PIL import Image

from sfda_bench.adapt.host import bytes_of
from sfda_bench.adapt.pseudo_label import Writer
from sfda_bench.registry import METRICS
from sfda_bench.store.filenames import PREDICTIONS

INDEX_NAME = 'stream.json'


@METRICS.register_module()
class StreamWriter(Writer):
    """Write ``predictions/<sample_id>.png`` and ``stream.json``.

    The maps are the arg-max over the network's outputs (uint8) at the size of the file; the index
    lists position, round, id, condition and file of each image in the order of the stream.
    """

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Write one batch."""
        for sample in data_samples:
            labels = bytes_of(sample['pred_sem_seg']['data'].squeeze(0))
            name = f'{PREDICTIONS}/{sample["sample_id"]}.png'
            path = self.out_dir / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(labels).save(path)
            self.results.append(
                {
                    'position': sample['position'],
                    'round': sample['round'],
                    'sample_id': sample['sample_id'],
                    'condition': sample.get('condition', ''),
                    'file': name,
                }
            )

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Write the index."""
        images = sorted(results, key=lambda item: item['position'])
        self.write_json(INDEX_NAME, {'images': images})
        return {'images': len(images)}
