"""Synthetic records for tests: a made-up method scored on made-up images."""

import numpy as np

from sfda_bench.labels import CITYSCAPES_CLASSES
from sfda_bench.scoring.protocols import load_scoring
from sfda_bench.scoring.scores import score
from sfda_bench.store.record import Record, counts_digest, save_record

K = len(CITYSCAPES_CLASSES)


def make_counts(images=12, quality=0.6, seed=0, labels=K, world=0):
    """Counts (images, K, K + 1): truth depends on ``world`` only, errors on ``seed``."""
    truth = np.random.default_rng([world, 7]).integers(200, 900, (images, labels))
    rng = np.random.default_rng([world, seed, round(quality * 1e6)])
    hit = np.clip(quality + rng.normal(0, 0.05, truth.shape), 0.05, 0.99)
    counts = np.zeros((images, labels, labels + 1), np.uint32)
    for i in range(images):
        for c in range(labels):
            right = int(truth[i, c] * hit[i, c])
            wrong = rng.multinomial(truth[i, c] - right, np.full(labels + 1, 1 / (labels + 1)))
            counts[i, c] = wrong
            counts[i, c, c] += right
    return counts


def make_record(
    folder,
    method='tent',
    seed=0,
    quality=0.6,
    suite='pocket',
    task='gta5_to_cityscapes',
    network='deeplabv2_pocket',
    scoring='cityscapes19@1',
    inference='pocket@1',
    conditions=None,
    images=12,
    world=0,
    source=40.0,
    **fields,
):
    """Save a synthetic record; returns its path."""
    protocol = load_scoring(scoring)
    counts = make_counts(images, quality, seed, len(protocol.labels), world)
    ids = [f'frame_{i:03d}' for i in range(images)]
    tags = conditions or [''] * images
    scores = score(counts, tags, protocol)
    entry = dict(suite=suite, task=task, network=network, method=method, seed=seed)
    entry['params'] = fields.pop('params', {})
    data = dict(
        entry=entry,
        profile=suite,
        track='source-free',
        fidelity='paper',
        inference_protocol=inference,
        scoring_protocol=scoring,
        stages=[dict(name='adapt', kind='adapt', id='0123456789ab')],
        scores=scores.record_fields(),
        counts_file='pending.npz',
        counts_sha256=counts_digest(counts, ids, tags),
        source=dict(stage_id='s', sha256='0' * 64, origin='trained here', miou=source),
        data={task: 'fingerprint'},
        code=dict(fingerprint='c', commit=None, dirty=None),
        versions={'torch': '2.13.0'},
        hardware={'device': 'cpu'},
        cost=dict(wall_seconds=60.0, images_per_second=1.0, peak_memory_mb=100.0),
        guard=dict(verdict='sealed'),
        created='2026-01-01T00:00:00Z',
    )
    data.update(fields)
    record = Record(**data)
    record.counts_file = f'{record.entry.slug}.npz'
    return save_record(record, counts, ids, tags, folder)


def small_suite(folder, seeds=(0, 1, 2), **fields):
    """A board with source-only, oracle and three methods."""
    for seed in seeds:
        make_record(folder, 'source_only', seed, 0.40, track='bound', **fields)
        make_record(folder, 'oracle', seed, 0.80, track='bound', **fields)
        make_record(folder, 'bn_adapt', seed, 0.50, **fields)
        make_record(folder, 'tent', seed, 0.5002, **fields)
        make_record(folder, 'iapc', seed, 0.60, fidelity='official', **fields)
    return folder
