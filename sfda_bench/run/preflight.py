"""Checks before the first stage runs: places, space, labels, installed packages.

Each check raises a :class:`~sfda_bench.errors.BenchError` that names what is wrong and its cure.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

from sfda_bench import paths
from sfda_bench.data.layout import list_split, require_root
from sfda_bench.data.lists import read_list
from sfda_bench.errors import BenchError, DataError
from sfda_bench.plan.model import Plan, Stage
from sfda_bench.plan.setup import fingerprint
from sfda_bench.run.status import precedents
from sfda_bench.store.filenames import FINAL_NAME
from sfda_bench.store.runs import Store

#: The packages we are built on, and those that bring the same modules under another name.
ORIGINALS = {
    'onedl-mmcv': ('mmcv', 'mmcv-full', 'mmcv-lite'),
    'onedl-mmengine': ('mmengine', 'mmengine-lite'),
    'onedl-mmsegmentation': ('mmsegmentation',),
}
#: How the name of a world without content begins.
OUTLINE = 'sfda_bench_outline.'
MB = 2**20
#: Weights of a network of which nothing is known yet, and files of a stage that keeps none, in MB.
SOME_WEIGHTS_MB, OTHER_FILES_MB = 20.0, 5.0
#: A checkpoint to continue from holds weights, momentum, and a second network at most.
RESUME_FACTOR = 4
SPARE_MB = 50.0


def data_root(suite: Mapping[str, Any], given: Path | None, question: bool = False) -> Path | None:
    """The folder of all data sets for a suite.

    A suite that renders its data never reads ``SFDA_DATA_ROOT``, whose data would be taken for
    rendered ones. A folder that is ``given`` may hold a rendered world, which is taken as it is, or
    nothing, and the world is rendered there.

    Args:
        suite: The suite block.
        given: The option ``--data-root``.
        question: Nothing will run: a world that is not rendered is laid out without content, in a
            temporary folder, if the sizes of its files are known.

    Raises:
        BenchError: The folder that is given to such a suite holds other data.
    """
    variable = os.environ.get('SFDA_DATA_ROOT')
    if suite.get('renders') is None:
        return given or (Path(variable) if variable else None)
    from sfda_bench.pocket.world import WorldSpec, ensure_pocket, is_complete

    root = given or rendered_root()
    if given is None and variable:
        print(
            f'suite {suite["name"]} renders its own data into {root}; SFDA_DATA_ROOT is not used',
            file=sys.stderr,
        )
    spec = WorldSpec(**suite['renders'])
    complete = is_complete(root, spec) if given is None else is_complete(root)
    if not complete:
        outline = _outline(spec) if question else None
        if outline is not None:
            return outline
        ensure_pocket(root, spec)
    return root


def rendered_root() -> Path:
    """Where suites that render their data put them."""
    return paths.WORK / 'data' / 'pocket'


def shown_root(root: Path, given: Path | None) -> Path:
    """The folder that a run would read, where a question was answered from an outline of it."""
    return (given or rendered_root()) if root.name.startswith(OUTLINE) else root


def _outline(spec: Any) -> Path | None:
    from sfda_bench.pocket.skeleton import lay_out

    folder = tempfile.TemporaryDirectory(prefix=OUTLINE)
    atexit.register(folder.cleanup)
    return Path(folder.name) if lay_out(spec, folder.name) else None


def check(
    plan: Plan, missing: Sequence[Stage], store: Store, records: Path, guard: bool = True
) -> None:
    """Refuse a plan that cannot end well; without anything to run there is nothing to refuse."""
    if not missing:
        return
    if guard:
        check_compilers(missing)
    check_packages()
    check_labels(plan, missing)
    check_writable({'stages (--runs)': store.root, 'records (--records)': records / plan.suite})
    check_space(store, missing)


def check_compilers(missing: Iterable[Stage]) -> None:
    """Refuse a compiler that runs in processes of its own where a seal forbids them."""
    for stage in missing:
        hooks = stage.config.get('custom_hooks', [])
        backend = next((hook.get('compile') for hook in hooks if 'compile' in hook), None)
        if backend == 'inductor' and stage.config['stage'].get('sealed'):
            raise BenchError(
                f'compile=inductor in the sealed stage {stage.title}: its compiler is a process',
                'compile=cudagraphs or compile=aot_eager, which compile inside the stage',
                '--compile cudagraphs, or --no-guard (the record then says `unguarded`)',
            )


def check_folder(store: Store) -> None:
    """Refuse a store that is, or lies below, something else than a folder: it cannot be read."""
    if not existing(store.root).is_dir():
        check_writable({'stages (--runs)': store.root})


def check_writable(places: Mapping[str, Path]) -> None:
    """Refuse folders that no file can be written into."""
    wrong = []
    for what, place in places.items():
        folder = existing(place)
        try:
            with tempfile.NamedTemporaryFile(dir=folder, prefix='.writable.'):
                pass
        except OSError as error:
            wrong.append(f'{place}, for {what}: {error.strerror}')
    if wrong:
        raise BenchError(
            f'cannot write into {"; ".join(wrong)}',
            'folders that can be written',
            'change their permissions, or choose others with --runs and --records',
        )


def existing(place: Path) -> Path:
    """The nearest of a path and its parents that exists, whatever it is."""
    place = place.absolute()
    while not os.path.lexists(place):
        place = place.parent
    return place


def check_space(store: Store, missing: Sequence[Stage]) -> None:
    """Refuse a disk that is too small for what the stages are expected to leave."""
    free = shutil.disk_usage(existing(store.root)).free / MB
    wanted = expected_mb(store, missing)
    if free < wanted:
        raise BenchError(
            f'{free:,.0f} MB free for {store.root}',
            f'about {wanted:,.0f} MB for {len(missing)} stages and their checkpoints',
            'make space (`run_suite.py clean` lists what nothing needs), or choose another --runs',
        )


def expected_mb(store: Store, missing: Sequence[Stage]) -> float:
    """Megabytes that stages will need, by those that ran before and by their parents' weights."""
    known = precedents(store)
    total, largest = SPARE_MB, SOME_WEIGHTS_MB
    weights: dict[str, float] = {}
    for stage in missing:
        own = max((_weights_mb(store, p, weights) for p in stage.parents), default=SOME_WEIGHTS_MB)
        weights[stage.id] = own
        largest = max(largest, own)
        if stage.title in known:
            total += known[stage.title][1]
        elif stage.config.get('train_dataloader'):
            hook = stage.config.get('default_hooks', {}).get('checkpoint') or {}
            total += own * (1 + len(hook.get('keep', [])))
        else:
            total += OTHER_FILES_MB
    return total + RESUME_FACTOR * largest


def _weights_mb(store: Store, stage_id: str, planned: Mapping[str, float]) -> float:
    file = store.path(stage_id) / FINAL_NAME
    return file.stat().st_size / MB if file.is_file() else planned.get(stage_id, SOME_WEIGHTS_MB)


def check_labels(plan: Plan, missing: Iterable[Stage]) -> None:
    """Refuse images without a label file where a stage will read labels."""
    used = {value for stage in missing for value in stage.data.values()}
    seen: set[str] = set()
    lines = []
    for entry in plan.entries:
        for role in ('source', 'target_train', 'target_val'):
            spec = entry.task[role]
            try:
                found = fingerprint(spec, plan.data_root, labelled=True)
            except DataError:
                continue  # no stage of ours could have been planned on these labels
            if found in used and found not in seen:
                lines += _without_label(spec, plan.data_root)
            seen.add(found)
    if lines:
        raise DataError(
            'labels are missing: ' + '; '.join(lines),
            'a label file that is not empty beside each image',
            'copy them again, then check with `python tools/prepare_data.py doctor`',
        )


def _without_label(spec: Mapping[str, Any], data_root: Path) -> list[str]:
    root = require_root(data_root, spec['folder'])
    samples = list_split(spec['folder'], root, spec['split'], spec.get('conditions'), True)
    if spec.get('sample_list'):
        chosen = set(read_list(spec['sample_list']))
        samples = [sample for sample in samples if sample.sample_id in chosen]
    absent = [s.label for s in samples if s.label is None or not _has_bytes(s.label)]
    if not absent:
        return []
    names = ', '.join(str(path) for path in absent[:3]) + (', ...' if len(absent) > 3 else '')
    return [f'{len(absent)} of {len(samples)} of {spec["folder"]} {spec["split"]}: {names}']


def _has_bytes(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except OSError:
        return False


def check_packages() -> None:
    """Refuse packages that bring the same modules, and versions that are not those required."""
    wrong = [
        f'{other} beside {ours}: both bring the same modules'
        for ours, others in ORIGINALS.items()
        for other in others
        if _version(ours) and _version(other)
    ]
    wrong += _unmet()
    if wrong:
        raise BenchError(
            'the installed packages do not fit: ' + '; '.join(wrong),
            "the versions of constraints.txt, and none of OpenMMLab's originals",
            'remove .venv and run `make install`',
        )


def _unmet() -> list[str]:
    from packaging.requirements import Requirement

    try:
        texts = requires('sfda_bench') or []
    except PackageNotFoundError:  # run from a checkout that is not installed
        texts = [f'{name}' for name in ORIGINALS]
    found = []
    for text in texts:
        wanted = Requirement(text)
        if wanted.marker is not None and not wanted.marker.evaluate({'extra': ''}):
            continue
        here = _version(wanted.name)
        if here is None:
            found.append(f'{wanted.name} is missing')
        elif not wanted.specifier.contains(here, prereleases=True):
            found.append(f'{wanted.name} {here}, required {wanted.specifier}')
    return found


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
