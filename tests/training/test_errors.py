"""Errors of `python -m training`: a sentence in place of a traceback."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from service.models.registry import SHIPPED
from service.settings import DEFAULT_MODEL
from tests.conftest import SAMPLES
from training.__main__ import run

COMMANDS = [
    ("ground-truth", "--n", "2"),
    ("audit", "--data", "{data}"),
    ("claims", "{bundle}", "--data", "{data}"),
    ("faithfulness", "{bundle}", "--data", "{data}"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_folder_that_cannot_be_made_is_told_in_a_sentence(
    command: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "file").touch()
    out = str(tmp_path / "file" / "out")
    words = [word.format(data=SAMPLES, bundle=SHIPPED / DEFAULT_MODEL) for word in command]
    monkeypatch.setattr(sys, "argv", ["training", *words, "--out", out])
    with pytest.raises(SystemExit) as stopped:
        run()
    assert stopped.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"error: cannot use {out}: Not a directory"
