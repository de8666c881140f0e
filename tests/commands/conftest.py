"""Fixtures for the tests of commands."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from service.commands.__main__ import run
from tests.commands.command_line import CommandResult, Lrpserve


@pytest.fixture
def lrpserve(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Lrpserve:
    """Run a command as the console script does."""
    monkeypatch.setenv("COLUMNS", "200")
    # `serve` would redirect the log of all later tests
    monkeypatch.setattr("service.logs.logging.config.dictConfig", lambda config: None)

    def call(*arguments: object) -> CommandResult:
        monkeypatch.setattr(sys, "argv", ["lrpserve", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            run()
        printed = capsys.readouterr()
        return CommandResult(int(ended.value.code or 0), printed.out, printed.err)

    return call


@pytest.fixture
def photos(tmp_path: Path, samples: list[Path]) -> Path:
    """Two images of the same name, one of another, and a file that is no image."""
    for folder, name, index in (("a", "cat", 60), ("b", "cat", 61), ("a", "ship", 160)):
        (tmp_path / folder).mkdir(exist_ok=True)
        shutil.copy(samples[index], tmp_path / folder / f"{name}.jpg")
    (tmp_path / "a" / "text.jpg").write_text("this is no image")
    return tmp_path
