"""``data doctor``: the examination for people and for machines."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from sfda_bench.data.catalogue import LAYOUTS
from sfda_bench.data.doctor.examine import Examination, examine
from sfda_bench.data.doctor.findings import Finding
from sfda_bench.data.layout import find_root
from sfda_bench.data.progress import Progress
from sfda_bench.data.tasks import load_task, splits_of, task_names
from sfda_bench.errors import BenchError, require_known
from sfda_bench.reading import require_folder


def require_data_root(root: str | None) -> Path:
    """Return the data root as a path; raise if none was given or it does not exist."""
    if not root:
        raise BenchError('no data root', 'a folder', 'pass --data-root DIR or set SFDA_DATA_ROOT')
    fix = 'check --data-root and SFDA_DATA_ROOT'
    require_folder(Path(root), 'the folder that holds the data sets', fix)
    return Path(root)


def doctor(args: argparse.Namespace) -> int:
    """Examine data sets; returns 1 if an error was found."""
    root = require_data_root(args.data_root)
    wanted = _wanted(root, args.task, args.dataset)
    optional = _stand_ins(root, args.task)
    with Progress('examining') as progress:
        result = examine(
            root, wanted, args.sample, args.workers, progress, ', '.join(args.task), optional
        )
    print(json.dumps(result.to_dict(), indent=2) if args.json else as_text(result))
    return 0 if result.ok else 1


def _wanted(root: Path, tasks: list[str], datasets: list[str]) -> dict[str, tuple[str, ...]]:
    wanted: dict[str, tuple[str, ...]] = {}
    for name in tasks:
        for dataset, splits in splits_of(load_task(name)).items():
            wanted[dataset] = tuple(dict.fromkeys((*wanted.get(dataset, ()), *splits)))
    for dataset in datasets:
        require_known('data set', dataset, LAYOUTS)
        wanted[dataset] = ()
    if wanted:
        return wanted
    found = [name for name in LAYOUTS if find_root(root, name) is not None]
    if not found:
        raise BenchError(
            f'no known data set in {root}',
            f'folders named {", ".join(LAYOUTS)}',
            'see `python tools/prepare_data.py list` for layouts and links; '
            f'tasks: {", ".join(task_names())}',
        )
    return dict.fromkeys(found, ())


def _stand_ins(root: Path, tasks: list[str]) -> frozenset[str]:
    """Return the source data sets that a published checkpoint in ``weights/`` stands in for."""
    if not any((root / 'weights').glob('*.pth')):
        return frozenset()
    return frozenset(load_task(name)['source']['folder'] for name in tasks)


def as_text(result: Examination) -> str:
    """Return the examination as a table and a list of findings."""
    from tabulate import tabulate

    rows = [
        [s.dataset, s.split, s.images, s.labelled, s.decoded, s.fingerprint, s.variant]
        for s in result.splits
    ]
    head = ['data set', 'split', 'images', 'labelled', 'decoded', 'fingerprint', 'known as']
    parts = [tabulate(rows, head)] if rows else []
    parts += [_finding_text(f) for f in result.findings]
    errors = sum(f.level == 'error' for f in result.findings)
    warnings = sum(f.level == 'warning' for f in result.findings)
    parts.append(
        f'{errors} errors, {warnings} warnings' if errors or warnings else 'clean: nothing found'
    )
    return '\n\n'.join(parts)


def _finding_text(finding: Finding) -> str:
    where = f'{finding.dataset} {finding.split}'.strip()
    lines = [f'{finding.level.upper()} {finding.name} ({where}): {finding.found}']
    if finding.count > 1:
        lines[0] += f' [{finding.count} files]'
    if finding.level != 'info':
        lines += [f'  expected: {finding.expected}', f'  fix:      {finding.fix}']
    return '\n'.join(lines + [f'    {path}' for path in finding.paths])
