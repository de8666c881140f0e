"""The generated tables of the documentation: each has its page, and a stale one is found."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tools.reference.__main__ import app
from tools.reference.markdown import table, values_of
from tools.reference.modules import describe, module_map
from tools.reference.pages import GENERATORS, fill

ROOT = Path(__file__).parents[2]
EMPTY = "before\n\n<!-- generated: types -->\n<!-- end of types -->\n\nafter\n"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A page with an empty region, in a repository of its own."""
    path = tmp_path / "docs" / "folder" / "page.md"
    path.parent.mkdir(parents=True)
    path.write_text(EMPTY)
    return path


def test_the_check_fails_on_a_stale_page_and_says_what_to_run(page: Path) -> None:
    ran = run("--check", "--root", str(page.parents[2]))

    assert ran.exit_code == 1
    assert "docs/folder/page.md: stale" in ran.output
    assert "make reference" in ran.output
    assert page.read_text() == EMPTY


def test_a_page_that_was_written_passes_the_check_until_it_is_edited(page: Path) -> None:
    root = str(page.parents[2])
    assert run("--root", root).exit_code == 0
    written = page.read_text()
    assert run("--check", "--root", root).exit_code == 0

    page.write_text(written.replace("every ReLU", "every unit"))
    assert run("--check", "--root", root).exit_code == 1
    run("--root", root)
    assert page.read_text() == written


def test_what_stands_around_a_region_is_kept() -> None:
    filled = fill(EMPTY, ROOT)

    assert filled.startswith("before\n\n<!-- generated: types -->\n\n| `layers` |")
    assert filled.endswith("|\n\n<!-- end of types -->\n\nafter\n")


def test_a_region_that_nothing_is_generated_for_is_an_error() -> None:
    with pytest.raises(KeyError, match="unknown"):
        fill("<!-- generated: unknown -->\n<!-- end of unknown -->", ROOT)


@pytest.mark.parametrize("name", GENERATORS)
def test_every_table_stands_in_one_page(name: str) -> None:
    files = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    pages = "".join(file.read_text() for file in files)
    assert pages.count(f"<!-- generated: {name} -->\n") == 1
    assert pages.count(f"<!-- end of {name} -->") == 1


def test_the_map_has_every_module_with_a_phrase() -> None:
    rows = re.findall(r"^\| `(\S+)` \| (.+) \|$", module_map(ROOT), re.MULTILINE)
    files = [*(ROOT / "service").rglob("*.py"), *(ROOT / "service" / "web" / "js").rglob("*.js")]
    names = {file.name for file in files} - {"__init__.py"}
    assert names <= {name for name, _ in rows}
    assert [name for name, phrase in rows if not phrase.strip()] == []


@pytest.mark.parametrize(
    ("name", "text", "phrase"),
    [
        ("a.py", '"""What it is.\n\nMore."""\n', "What it is."),
        ("a.js", "// What it is.\nimport x;\n", "What it is."),
        ("a.js", "/** What it is. */\n", "What it is."),
        ("a.js", "/**\n * What it is.\n * More.\n */\n", "What it is."),
        ("a.js", "// @ts-check\n// What it is.\n", "What it is."),
        ("a.js", "import x;\n", ""),
    ],
)
def test_a_module_is_described_by_its_first_line(
    tmp_path: Path, name: str, text: str, phrase: str
) -> None:
    (tmp_path / name).write_text(text)
    assert describe(tmp_path / name) == phrase


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "integer", "minimum": 1, "maximum": 1000}, "integer, 1 to 1000"),
        ({"type": "number", "exclusiveMinimum": 0}, "number above 0"),
        ({"type": "integer", "minimum": 0}, "integer, at least 0"),
        ({"enum": ["sum", "all"]}, "`sum`, `all`"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "string or null"),
        ({"type": "array", "items": {"$ref": "#/$defs/Epoch"}}, "list of Epoch"),
        ({"type": "array", "prefixItems": [{"type": "number"}] * 3}, "list of 3: number"),
        ({"type": "object", "additionalProperties": {"type": "string"}}, "object of string"),
    ],
)
def test_a_schema_is_told_in_words(schema: dict[str, Any], words: str) -> None:
    assert values_of(schema) == words


def test_a_cell_stays_one_cell() -> None:
    assert table(("a", "b"), [("x|y", "two\nlines")]).splitlines()[-1] == "| x\\|y | two lines |"
