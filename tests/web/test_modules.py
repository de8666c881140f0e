"""The page's pure modules, run by Node.js without a browser: the tests are in `js/`."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.helpers.tools import find_tool

FOLDER = Path(__file__).parent / "js"
FILES = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.test.js"))


@pytest.mark.parametrize("file", FILES)
def test_modules_pass_their_tests(file: str) -> None:
    command = [find_tool("node", "nodejs"), "--test", "--test-reporter=spec", str(FOLDER / file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout
    assert "pass 0" not in done.stdout


def test_each_test_mirrors_a_module() -> None:
    modules = FOLDER.parents[2] / "service" / "web" / "js"
    assert len(FILES) > 10
    assert [
        file for file in FILES if not (modules / file.replace(".test.js", ".js")).exists()
    ] == []
