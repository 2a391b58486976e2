"""Setup of an entry: the values that every kind of stage may read."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sfda_bench.data.fingerprint import split_fingerprint
from sfda_bench.data.layout import image_dirs, require_root
from sfda_bench.errors import BenchError
from sfda_bench.plan import black_box
from sfda_bench.plan.method import Method, merge
from sfda_bench.plan.settings import check_stage
from sfda_bench.scoring.protocols import InferenceProtocol, ScoringProtocol


@dataclass(frozen=True)
class Setup:
    """One task, network, method and seed under the protocols and the sizes of a suite.

    Attributes:
        suite: The suite block.
        data_root: Folder of all data sets.
        runs: Folder of all stages, which a black-box method may not look into.
        workers: Loader workers of each stage; no part of any identity.
        task: The task block.
        network: The network's config: ``network`` (declaration) and ``model`` (segmentor).
        method: The method.
        seed: Seed of the entry.
        inference: How images are predicted.
        scoring: How counts are averaged.
        label: The method with the settings that a user changed; '' = its name.
    """

    suite: Mapping[str, Any]
    data_root: Path
    runs: Path
    workers: int
    task: Mapping[str, Any]
    network: Mapping[str, Any]
    method: Method
    seed: int
    inference: InferenceProtocol
    scoring: ScoringProtocol
    label: str = ''

    @property
    def model(self) -> dict[str, Any]:
        """Config of the plain segmentor."""
        return self.network['model']

    @property
    def block(self) -> dict[str, Any]:
        """The network's declaration: input convention, classes, source recipe."""
        return self.network['network']

    def title(self, name: str) -> str:
        """Title of a stage of this entry."""
        task, network = self.task['name'], self.block['name']
        return f'{self.label or self.method.name} {name} {task} {network} s{self.seed}'

    def stage_block(self, kind: str, name: str, grants: list[str]) -> dict[str, Any]:
        """Our own block in the config of a stage of the method: what it may and must not read."""
        # what other stages learned from the source's weights is as good as these
        hidden = [str(self.runs)] if black_box.is_black_box(self.method) else []
        return {
            'kind': kind,
            'name': name,
            'sealed': self.method.sealed,
            'grants': list(grants),
            'protected': [str(self.data_root), *hidden],
        }

    def source_recipe(self) -> dict[str, Any]:
        """How the network is trained on labels, as its config and then the suite say."""
        recipe = merge(self.block['source'], self.suite.get('source', {}))
        check_stage(recipe, f'the source recipe of {self.block["name"]}')
        for file in (recipe, recipe.get('init') or {}):
            if 'checkpoint' in file and not file.get('converter'):
                raise BenchError(
                    f'network {self.block["name"]}: {file["checkpoint"]} has no `converter`',
                    'the name of its format (tools/convert_checkpoint.py inspect FILE tells it)',
                    f'edit {self.network.get("__file__", "the config of the network")}',
                )
        return recipe

    def sized(self, recipe: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, Any]:
        """A recipe with the suite's training size for a data set, unless it has its own."""
        sizes = self.suite.get('input_size', {})
        return {'input_size': sizes.get(spec['folder']), **recipe}

    def images(self, spec: Mapping[str, Any]) -> list[str]:
        """Folders of a split's images, without labels."""
        root = require_root(self.data_root, spec['folder'])
        dirs = image_dirs(spec['folder'], root, spec['split'], spec.get('conditions'))
        return [str(path) for path in dirs]

    def fingerprint(self, spec: Mapping[str, Any], labelled: bool) -> str:
        """Fingerprint of a task's data-set block."""
        return fingerprint(spec, self.data_root, labelled)


def fingerprint(spec: Mapping[str, Any], data_root: Path, labelled: bool) -> str:
    """Fingerprint of a task's data-set block: names and sizes of its images, and of its labels."""
    root = str(require_root(data_root, spec['folder']))
    conditions = tuple(spec['conditions']) if spec.get('conditions') else None
    return _fingerprint(spec['folder'], root, spec['split'], conditions, labelled)


@functools.cache
def _fingerprint(
    folder: str, root: str, split: str, conditions: tuple[str, ...] | None, labelled: bool
) -> str:
    return split_fingerprint(folder, Path(root), split, conditions, labelled)
