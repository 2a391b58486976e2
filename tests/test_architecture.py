"""The rooms: imports run one way, without circles, and nothing grows too large."""

from __future__ import annotations

import ast
import importlib
import re
from collections import Counter

import networkx as nx
import pytest

from sfda_bench.paths import PACKAGE, REPOSITORY

#: From the top to the bottom: a room imports those below it. Files beside the rooms are the ground.
ORDER = (
    'cli', 'new_method', 'regression', 'benchmarks', 'board', 'run', 'plan', 'engine', 'methods',
    'adapt', 'networks', 'pocket', 'data', 'store', 'scoring',
)  # fmt: skip
#: For whoever uses the package from Python: above all rooms, imported by none.
FACADE = ('sfda_bench', 'sfda_bench.api')
LARGEST_ROOM, LONGEST_MODULE = 0.15, 300


def _modules() -> dict[str, str]:
    found = {}
    for path in sorted(PACKAGE.rglob('*.py')):
        parts = path.relative_to(PACKAGE.parent).with_suffix('').parts
        name = '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)
        found[name] = path.read_text(encoding='utf-8')
    return found


MODULES = _modules()


def imports(name: str, text: str) -> set[str]:
    """Modules of the package that one imports, wherever in its file."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                full = f'{node.module}.{alias.name}'
                found.add(full if full in MODULES else node.module)
    return {other for other in found if other in MODULES and other not in (name, 'sfda_bench')}


GRAPH = nx.DiGraph((name, other) for name, text in MODULES.items() for other in imports(name, text))


def room(name: str) -> str:
    """The room of a module, '' for files beside the rooms."""
    parts = name.split('.')
    return parts[1] if len(parts) > 1 and parts[1] in ORDER else ''


def upward(graph: nx.DiGraph) -> list[tuple[str, str]]:
    """Imports of a room further up."""
    place = {name: ORDER.index(room(name)) if room(name) else len(ORDER) for name in graph}
    place |= dict.fromkeys(FACADE, -1)
    return sorted((one, other) for one, other in graph.edges if place[one] > place[other])


def circles(graph: nx.DiGraph) -> list[set[str]]:
    """Modules that import each other, directly or not."""
    return [group for group in nx.strongly_connected_components(graph) if len(group) > 1]


def test_every_folder_is_a_room_in_the_order():
    assert {path.parent.name for path in PACKAGE.glob('*/__init__.py')} == set(ORDER)


def test_imports_run_down_without_circles():
    assert circles(GRAPH) == []
    assert upward(GRAPH) == []


@pytest.mark.parametrize(
    ('one', 'other', 'found'),
    [
        ('sfda_bench.scoring.confusion', 'sfda_bench.board.rows', upward),
        ('sfda_bench.errors', 'sfda_bench.plan.method', upward),
        ('sfda_bench.run.outcome', 'sfda_bench.run.worker', circles),
    ],
)
def test_a_planted_import_is_seen(one, other, found):
    graph = GRAPH.copy()
    assert one in graph and other in graph
    graph.add_edge(one, other)
    assert found(graph)


def test_no_room_and_no_module_is_too_large():
    lines = {name: len(text.splitlines()) for name, text in MODULES.items()}
    assert {name: n for name, n in lines.items() if n > LONGEST_MODULE} == {}
    rooms = Counter()
    for name, count in lines.items():
        # methods are a shelf: each stands in a folder of its own, and there will be more of them
        parts = name.split('.')
        of_method = room(name) == 'methods' and len(parts) > 2
        rooms[f'methods/{parts[2]}' if of_method else room(name)] += count
    share = {name: count / sum(lines.values()) for name, count in rooms.items()}
    assert {name: part for name, part in share.items() if part > LARGEST_ROOM} == {}


def test_no_shared_room_knows_a_method_by_name():
    """Methods are found, never listed."""
    into = {(one, other) for one, other in GRAPH.edges if room(other) == 'methods'}
    assert {one for one, _ in into if room(one) != 'methods'} == set()


def test_what_the_page_names_exists():
    """Every ``room.module.thing`` in backticks on the page of the architecture can be imported."""
    page = (REPOSITORY / 'docs' / 'architecture.md').read_text(encoding='utf-8')
    named = [
        name for name in re.findall(r'`([a-z_]+\.[\w.]+)`', page) if name.split('.')[0] in ORDER
    ]
    named = [name for name in named if not name.endswith('.py')]
    assert len(named) > 15
    for name in named:
        parts = f'sfda_bench.{name}'.split('.')
        module = next(
            '.'.join(parts[:n]) for n in range(len(parts), 1, -1) if '.'.join(parts[:n]) in MODULES
        )
        found = importlib.import_module(module)
        for part in parts[module.count('.') + 1 :]:
            assert hasattr(found, part), name
            found = getattr(found, part)


def test_the_page_lists_the_rooms_in_their_order():
    page = (REPOSITORY / 'docs' / 'architecture.md').read_text(encoding='utf-8')
    table = page.split('## Rooms')[1].split('##')[0]
    assert tuple(re.findall(r'^\| `(\w+)` \|', table, re.MULTILINE)) == ORDER
