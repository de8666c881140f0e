"""The page's JavaScript modules import one way, as the Python packages do."""

from __future__ import annotations

import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "service" / "web" / "js"
IMPORT = re.compile(r'(?:\bfrom|\bimport|\bimport\()\s*"(\.[^"]*)"')

# What the modules of each folder may import, besides their neighbours.
ALLOWED: dict[str, set[str]] = {
    "main.js": {"views", "method", "map", "service", "page"},
    "views": {"method", "map", "service", "page"},
    "method": {"service", "page"},
    "map": {"service", "page"},
    "service": {"page"},
    "page": set(),
}
MODULES = sorted(FOLDER.rglob("*.js"))


def imports_of(module: Path) -> list[Path]:
    found = IMPORT.findall(module.read_text(encoding="utf-8"))  # also those of types
    return [(module.parent / path).resolve() for path in found]


def part_of(module: Path) -> str:
    return module.relative_to(FOLDER).parts[0]


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.relative_to(FOLDER).as_posix())
def test_a_module_imports_only_what_its_folder_may(module: Path) -> None:
    part = part_of(module)
    imported = imports_of(module)
    assert [path for path in imported if not path.is_file()] == []
    assert [path for path in imported if part_of(path) not in {part, *ALLOWED[part]}] == []


def test_no_import_goes_in_a_circle() -> None:
    graph = {module: set(imports_of(module)) for module in MODULES}
    assert sum(map(len, graph.values())) > len(MODULES)
    TopologicalSorter(graph).prepare()  # raises where there is a circle
