"""`lrpserve audit`: what it writes and prints, and wrong inputs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from service.commands import audit as command
from service.settings import DEFAULT_MODEL
from tests.commands.command_line import Lrpserve, assert_one_sentence


@pytest.fixture
def data(tmp_path: Path, samples: list[Path]) -> Path:
    """Twenty cats and twenty dogs in folders, and a file that is no image."""
    folder = tmp_path / "data"
    for path in samples:
        if path.parent.name in ("cat", "dog"):
            (folder / path.parent.name).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, folder / path.parent.name / path.name)
    (folder / "cat" / "broken.jpg").write_text("this is no image")
    return folder


def test_audit_writes_a_report(lrpserve: Lrpserve, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = lrpserve("audit", DEFAULT_MODEL, "--data", data, "-o", out, "--others", 20)
    assert done.code == 0
    assert "broken.jpg" in done.err
    verdict, written = done.out.splitlines()
    assert "clusters of 40 images" in verdict
    assert written == f"written: {out / 'report.html'}"
    record = json.loads((out / "audit.json").read_text(encoding="utf-8"))
    assert {one["class"] for one in record["clusters"]} == {"cat", "dog"}
    assert record["model"] == DEFAULT_MODEL
    assert record["n_failed"] == 1
    assert (out / "virelay" / "project.yaml").is_file()


def test_wrong_inputs_are_one_sentence(lrpserve: Lrpserve, data: Path, tmp_path: Path) -> None:
    out, empty = tmp_path / "out", tmp_path / "empty"
    empty.mkdir()
    shutil.copytree(data / "dog", tmp_path / "single" / "dog")
    wrong: list[tuple[tuple[object, ...], str]] = [
        (("no-model", "--data", data, "-o", out), "there is no model 'no-model'"),
        ((DEFAULT_MODEL, "--data", tmp_path / "x", "-o", out), "there is no folder"),
        ((DEFAULT_MODEL, "--data", empty, "-o", out), "there are no images"),
        ((DEFAULT_MODEL, "--data", tmp_path / "single", "-o", out), "all images are of one class"),
        ((DEFAULT_MODEL, "--data", data, "-o", data / "cat" / "broken.jpg"), "cannot make the f"),
        ((DEFAULT_MODEL, "--data", data, "-o", out, "--n", 8), "no class has 20 images or more"),
    ]
    for arguments, said in wrong:
        assert_one_sentence(lrpserve("audit", *arguments), said)


def test_it_says_what_to_install(
    lrpserve: Lrpserve, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr("service.evaluation.audit.clustering.importlib.import_module", fail)
    done = lrpserve("audit", DEFAULT_MODEL, "--data", data, "-o", tmp_path / "out")
    assert_one_sentence(done, "pip install 'lrpserve[eval]'")


def test_ctrl_c_ends_it_without_a_traceback(
    lrpserve: Lrpserve, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "audit_images", interrupt)
    done = lrpserve("audit", DEFAULT_MODEL, "--data", data, "-o", tmp_path / "out")
    assert (done.code, done.out, done.err) == (130, "", "interrupted: nothing is written\n")
    assert not (tmp_path / "out" / "report.html").exists()
