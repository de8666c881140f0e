"""Names of files, labels and data are printed literally and whole, whatever is in them."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest

from service.settings import DEFAULT_MODEL, PREFIX
from tests.commands.command_line import Lrpserve
from tests.helpers.servers import copy_bundle

NAMES = ["cat[old].jpg", ":cat:.jpg", "a[b].jpg", "[red]x[/red].jpg", "c[/b].jpg", "\\[d].jpg"]
CONTROL = "\x1b[31mred\x07\u202e.jpg"
ESCAPED = r"\x1b[31mred\x07\u202e.jpg"


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch, lrpserve: Lrpserve) -> None:
    """In a pipe the width of the terminal does not matter."""
    monkeypatch.setenv("COLUMNS", "40")


@pytest.fixture
def odd_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shipped model, with odd names of its labels and its data; it is the default."""
    bundle = copy_bundle(tmp_path / "bundle")
    card = json.loads((bundle / "model.json").read_text())
    card["labels"] = [f"[/{label}] :cat: \x1b[2J" for label in card["labels"]]
    card["provenance"]["data"] = "set [v2] [/q] \x07 of a name that is " + "long " * 20 + "end"
    (bundle / "model.json").write_text(json.dumps(card))
    monkeypatch.setenv(f"{PREFIX}MODEL", str(bundle))
    return bundle


def copies(folder: Path, names: list[str], image: Path) -> list[Path]:
    paths = [folder / name for name in names]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(image, path)
    return paths


def test_predict_prints_names_of_files_as_they_are(
    lrpserve: Lrpserve, tmp_path: Path, cat: Path
) -> None:
    long = tmp_path / ("n" * 100) / ("m" * 100)
    paths = [*copies(tmp_path, NAMES, cat), *copies(long, ["cat.jpg"], cat)]
    done = lrpserve("predict", *paths, "--top-k", 1)
    assert (done.code, done.err) == (0, "")
    assert [line.split(" cat ")[0].strip() for line in done.out.splitlines()[1:]] == [
        str(path) for path in paths
    ]


def test_control_characters_are_escaped(lrpserve: Lrpserve, tmp_path: Path, cat: Path) -> None:
    undecodable = os.fsdecode(b"caf\xe9.jpg")
    done = lrpserve("predict", *copies(tmp_path, [CONTROL, undecodable], cat), "--top-k", 1)
    assert done.code == 0
    assert f"{tmp_path}/{ESCAPED} " in done.out
    assert rf"{tmp_path}/caf\udce9.jpg " in done.out
    assert "\x1b" not in done.out


@pytest.mark.parametrize("command", ["predict", "explain"])
def test_names_in_errors_are_literal_and_escaped(
    lrpserve: Lrpserve, tmp_path: Path, command: str
) -> None:
    out = ["-o", tmp_path / "out"] if command == "explain" else []
    names = [*NAMES, CONTROL, os.fsdecode(b"caf\xe9.jpg")]
    done = lrpserve(command, *(tmp_path / name for name in names), *out)
    assert done.code == 2
    shown = [*NAMES, ESCAPED, r"caf\udce9.jpg"]
    assert done.err.splitlines() == [
        f"error: {tmp_path}/{name}: the file cannot be read: No such file or directory"
        for name in shown
    ]


def test_predict_prints_labels_as_they_are(lrpserve: Lrpserve, odd_bundle: Path, cat: Path) -> None:
    done = lrpserve("predict", cat, "--top-k", 1)
    assert done.code == 0
    assert r" [/cat] :cat: \x1b[2J " in done.out


def test_models_prints_names_of_data_as_they_are(lrpserve: Lrpserve, odd_bundle: Path) -> None:
    done = lrpserve("models")
    assert done.code == 0
    shipped, odd = done.out.splitlines()[1:]
    assert shipped.split()[0] == DEFAULT_MODEL
    assert re.search(r" set \[v2\] \[/q\] \\x07 of a name that is (long ){20}end *$", odd)


def test_a_wrong_option_is_said_literally(lrpserve: Lrpserve, cat: Path, tmp_path: Path) -> None:
    done = lrpserve("explain", cat, "-o", tmp_path / "out", "--cmap", "jet", "--target", "[/b]\x1b")
    assert done.code == 2
    assert "\x1b" not in done.err
    assert done.err.startswith("error: ")


def test_an_imports_error_is_said_literally(lrpserve: Lrpserve, tmp_path: Path) -> None:
    given = ["--labels", tmp_path / "[/b]\x1b", "--mean", "0,0,0", "--std", "1,1,1", "--size", 32]
    done = lrpserve("import", "own", "--arch", "minivgg", "--weights", tmp_path / "[/w]", *given)
    assert done.code == 2
    assert "[/" in done.err
    assert "\x1b" not in done.err
