"""Learning from labels and their probabilities."""

from __future__ import annotations

import numpy as np
import torch

from sfda_bench.data.pseudo import LoadConfidence, PackWithConfidence
from sfda_bench.methods.atp.black_box import PredictionWriter, distillation_loss


def test_the_rest_of_the_probability_is_shared():
    torch.manual_seed(0)
    logits, labels = torch.randn(1, 4, 1, 3), torch.tensor([[[0, 3, 255]]])
    confidence = torch.tensor([[[0.7, 1.0, 0.2]]])
    log_p = logits.log_softmax(1)[0, :, 0]
    target = torch.tensor([0.7, 0.1, 0.1, 0.1])
    expected = (-(target @ log_p[:, 0]) - log_p[3, 1]) / 2
    assert torch.allclose(distillation_loss(logits, labels, confidence), expected)
    ignored = torch.full_like(labels, 255)
    assert float(distillation_loss(logits, ignored, confidence)) == 0.0


def test_probabilities_survive_the_files_and_follow_the_labels_geometry(tmp_path):
    maps = torch.rand(5, 6, 8).mul(3).softmax(0)
    writer = PredictionWriter(str(tmp_path / 'artifacts'))
    writer.process(None, [{'sample_id': 'city/a', 'probabilities': maps}])
    writer.compute_metrics(writer.results)
    folder = tmp_path / 'artifacts'
    results = {
        'confidence_path': str(folder / 'confidence/city/a.png'),
        'seg_fields': ['gt_seg_map'],
        'img': np.zeros((6, 8, 3), np.uint8),
    }
    found = LoadConfidence().transform(results)
    assert found['seg_fields'] == ['gt_seg_map', 'gt_confidence']
    packed = PackWithConfidence(meta_keys=()).transform(found)
    values = packed['data_samples'].confidence.data
    assert values.shape == (1, 6, 8)
    assert torch.allclose(values[0], maps.amax(0), atol=1e-5)
