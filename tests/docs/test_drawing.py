"""The architecture's drawing is the one that its text describes."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tests.docs.markdown import ROOT
from tests.helpers.tools import find_tool

FOLDER = ROOT / "docs" / "explanation"


def words(svg: str) -> list[str]:
    """What is written in a drawing: where it stands depends on the fonts of the machine."""
    return sorted(re.findall(r"<(?:title|text)[^>]*>([^<]*)<", svg))


def test_the_drawing_is_made_of_its_text() -> None:
    dot = find_tool("dot", "graphviz")
    source = FOLDER / "architecture.dot"
    drawn = subprocess.run([dot, "-Tsvg", source], capture_output=True, text=True, check=True)
    committed = (FOLDER / "architecture.svg").read_text(encoding="utf-8")
    assert words(drawn.stdout) == words(committed), "run `make drawing`, and commit the drawing"


def test_every_part_in_the_drawing_is_a_folder_or_a_module() -> None:
    text = (FOLDER / "architecture.dot").read_text(encoding="utf-8")
    parts = re.findall(r'label="([a-z_]+/[a-z_]+)', text)
    assert len(parts) >= 9
    for part in parts:
        path = ROOT / "service" / part
        assert path.is_dir() or Path(f"{path}.py").is_file(), part
