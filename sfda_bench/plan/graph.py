"""The graph of stages: gives drafts their ids, merges equal ones, and fills in their paths."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sfda_bench.plan import configs, files
from sfda_bench.plan.identity import decisive, digest, module_hashes, modules_of, stage_id
from sfda_bench.plan.model import Stage, StageDraft
from sfda_bench.plan.references import resolve
from sfda_bench.store.runs import Store

#: What runs because of a key in a stage's own block, beside the classes its config names.
RUN_BY_KEY = {
    'convert': 'sfda_bench.networks.checkpoints.convert',
    'initial': 'sfda_bench.networks.checkpoints.convert',
    'gate': 'sfda_bench.networks.diagnosis',
}


class StageGraph:
    """Stages by id, in an order in which parents come first. It knows no kinds.

    Args:
        data_root: Folder of all data sets.
        store: Where stages lie.
    """

    def __init__(self, data_root: Path, store: Store) -> None:
        self.store, self._roots = store, files.folders_of(data_root)
        self.stages: dict[str, Stage] = {}

    def add(self, draft: StageDraft, also_after: Iterable[str] = ()) -> str:
        """Register a draft and return its id; an equal one is there only once.

        Every file that the config names is hashed into the id and granted to the stage's process
        here, and nowhere else.

        Args:
            draft: What a stage's kind made; left as it is.
            also_after: Ids of further stages that must have ended well.
        """
        reads = dict(sorted(draft.reads.items()))
        parents = [*([draft.parent] if draft.parent else []), *reads.values(), *also_after]
        config, given = files.symbolic(draft.config)
        stage = config['stage'] = dict(config['stage'])
        granted = [*stage.get('grants', []), *map(str, map(self.store.path, reads.values()))]
        stage['grants'] = [*granted, *files.grantable(given.values(), self._roots)]
        roots = modules_of(decisive(config)) | {
            module for key, module in RUN_BY_KEY.items() if key in stage
        }
        modules, code = _modules(tuple(sorted(roots)), tuple(draft.code_files))
        if draft.code_files:
            stage['code_files'] = [str(path) for path in draft.code_files]
        identity = stage_id(config, parents, draft.data, code)
        if identity not in self.stages:
            config = self._placed(config, draft, identity, given)
            config['stage'].update(id=identity, title=draft.title, parents=parents)
            self.stages[identity] = Stage(
                id=identity,
                name=stage['name'],
                kind=stage['kind'],
                title=draft.title,
                config=config,
                parents=parents,
                data=draft.data,
                code=code,
                modules=modules,
            )
        return identity

    def _placed(
        self, config: dict[str, Any], draft: StageDraft, identity: str, given: dict[str, str]
    ) -> dict[str, Any]:
        """The config with paths for what was symbolic in its identity."""
        places = {name: self.store.path(stage) for name, stage in draft.reads.items()}
        config = files.concrete(resolve(config, places), given)
        if draft.parent and draft.weights:
            config['load_from'] = str(self.store.path(draft.parent) / draft.weights)
        return configs.place(config, self.store.path(identity))


@functools.cache
def _modules(roots: tuple[str, ...], files: tuple[Path, ...]) -> tuple[dict[str, str], str]:
    """Hash of each module, and the fingerprint of all of them."""
    hashes = module_hashes(roots, files)
    return hashes, digest(hashes)
