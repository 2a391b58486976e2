"""The config of a new method: the text of another one's, with a card and adapters of its own.

The text is edited, not the values: comments, loops and names stay as their author wrote them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

from sfda_bench.plan.catalog import read_config

Edit = tuple[int, int, str]


def config_text(source: Path, card: str, classes: Mapping[str, str], outside: bool) -> str:
    """The new config.

    Args:
        source: The config to start from.
        card: Lines that take the place of its card and of its ``code_files``.
        classes: Type of an adapter in it -> the new class in its place.
        outside: Whether the new file lies in another folder, so that relative bases need a path.
    """
    text = source.read_text(encoding='utf-8')
    tree = ast.parse(text)
    blocks = _blocks(tree)
    place = _Places(text)
    edits = [place.edit(blocks['card'], card)]
    if 'code_files' in blocks:
        edits.append(place.edit(blocks['code_files'], ''))
    if outside and '_base_' in blocks:
        edits += _absolute(blocks['_base_'].value, source.parent, place)
    types = [(node, kind) for node, kind in _types(tree) if kind in classes]
    edits += [place.edit(node, repr(classes[kind])) for node, kind in types]
    named = {kind for _, kind in types}
    inherited = {old: new for old, new in classes.items() if old not in named}
    tail = _of_rounds(source, inherited, 'rounds' in blocks) if inherited else ''
    if inherited and not tail:
        tail = _renaming(inherited, 'stages' in blocks)
    return f'{_applied(text, edits).strip()}\n{tail}'


def has_base(source: Path) -> bool:
    """Whether a config names a base, whose card its own is merged into."""
    return '_base_' in _blocks(ast.parse(source.read_text(encoding='utf-8')))


def _blocks(tree: ast.Module) -> dict[str, ast.Assign]:
    """What a config assigns to a name, by name."""
    return {
        node.targets[0].id: node
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }


class _Places:
    """Where the nodes of a tree stand in its text."""

    def __init__(self, text: str) -> None:
        lines = text.encode().splitlines(keepends=True)
        self.starts = [sum(map(len, lines[:number])) for number in range(len(lines))]

    def edit(self, node: ast.expr | ast.stmt, new: str) -> Edit:
        """Byte offsets of a node, and what takes its place."""
        assert node.end_lineno is not None and node.end_col_offset is not None
        start = self.starts[node.lineno - 1] + node.col_offset
        return start, self.starts[node.end_lineno - 1] + node.end_col_offset, new


def _applied(text: str, edits: list[Edit]) -> str:
    data = text.encode()
    for start, end, new in sorted(edits, reverse=True):
        data = data[:start] + new.encode() + data[end:]
    return data.decode()


def _types(tree: ast.Module) -> Iterator[tuple[ast.Constant, str]]:
    """The strings given as ``type``, in calls of ``dict`` and in literals, and their nodes."""
    for node in ast.walk(tree):
        pairs: list[tuple[object, ast.expr]] = []
        if isinstance(node, ast.Call):
            pairs = [(word.arg, word.value) for word in node.keywords]
        elif isinstance(node, ast.Dict):
            pairs = [
                (getattr(k, 'value', None), v) for k, v in zip(node.keys, node.values, strict=True)
            ]
        for name, value in pairs:
            if name == 'type' and isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield value, value.value


def _absolute(value: ast.expr, folder: Path, place: _Places) -> Iterator[Edit]:
    """Edits that turn the paths of a ``_base_`` into absolute ones."""
    for node in ast.walk(value):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield place.edit(node, repr(str((folder / node.value).resolve())))


def _renaming(classes: Mapping[str, str], own_stages: bool) -> str:
    """Lines that give stages of the base the new classes."""
    pairs = [f'{old}={new!r}' for old, new in classes.items()]
    inner = pairs[0] if len(pairs) == 1 else ''.join(f'\n    {pair},' for pair in pairs) + '\n'
    return (
        '\n# Stages of the base, with adapters of our own.\n'
        f'_classes = dict({inner})\n'
        + ('' if own_stages else 'stages = _base_.stages\n')
        + 'for _stage in stages:\n'
        "    _adapter = _stage.get('adapter', {})\n"
        "    if _adapter.get('type') in _classes:\n"
        "        _adapter['type'] = _classes[_adapter['type']]\n"
    )


def _of_rounds(source: Path, classes: Mapping[str, str], own: bool) -> str:
    """Lines that give the rounds of the base the new classes; '' where no round has the old ones.

    Args:
        source: The config to start from.
        classes: Type of an adapter -> the new class in its place.
        own: Whether the config changes rounds of its base itself.
    """
    entries = read_config(source, 'the config of a method').get('rounds', {}).get('stages', {})
    found = {name: classes.get(e.get('adapter', {}).get('type')) for name, e in entries.items()}
    lines = '\n# Rounds of the base, with adapters of our own.\n'
    lines += '' if own else 'rounds = dict(stages=dict())\n'
    place = (
        "rounds['stages'].setdefault({name!r}, {{}}).setdefault('adapter', {{}})['type'] = {new!r}"
    )
    named = [place.format(name=name, new=new) for name, new in found.items() if new]
    return lines + '\n'.join(named) + '\n' if named else ''
