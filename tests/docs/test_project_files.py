"""README, changelog and citation: short, and of the version at hand."""

from __future__ import annotations

import re

import yaml

from service import __version__
from tests.docs.markdown import ROOT


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_readme_is_read_in_three_minutes() -> None:
    lines = read("README.md").splitlines()
    assert len(lines) <= 160
    assert max(map(len, lines)) <= 120


def test_the_changelog_has_an_entry_for_the_version() -> None:
    versions = re.findall(r"^## \[([^]]+)\]", read("CHANGELOG.md"), re.MULTILINE)
    assert versions[0] == "Unreleased"
    assert versions[1] == __version__


def test_an_entry_of_the_changelog_is_a_line() -> None:
    entries = [line for line in read("CHANGELOG.md").splitlines() if line.startswith(("-", " "))]
    assert [line for line in entries if not line.startswith("- ")] == []


def test_the_citation_is_of_the_version_and_its_date() -> None:
    citation = yaml.safe_load(read("CITATION.cff"))
    assert citation["version"] == __version__
    assert f"## [{__version__}] - {citation['date-released']}" in read("CHANGELOG.md")
