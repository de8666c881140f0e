"""The command line: the same answers without a server, and errors of one sentence."""

from __future__ import annotations

import base64
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import typer
from PIL import Image

from service import __version__
from service.api.options import ExplainOptions, PredictOptions
from service.cli import app, run
from service.models.card import ModelCard
from service.settings import DEFAULT_MODEL, PREFIX

COMMANDS = ("serve", "predict", "explain", "models")


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    code: int
    out: str
    err: str


Lrpserve = Callable[..., Done]


@pytest.fixture
def lrpserve(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Lrpserve:
    """Runs a command as the console script does."""
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["lrpserve", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            run()
        printed = capsys.readouterr()
        return Done(int(ended.value.code or 0), printed.out, printed.err)

    return call


@pytest.fixture
def photos(tmp_path: Path, samples: list[Path]) -> Path:
    """Two files with the same name, one with another, and one that is no image."""
    for folder, name, index in (("a", "cat", 60), ("b", "cat", 61), ("a", "ship", 160)):
        (tmp_path / folder).mkdir(exist_ok=True)
        shutil.copy(samples[index], tmp_path / folder / f"{name}.jpg")
    (tmp_path / "a" / "text.jpg").write_text("this is no image")
    return tmp_path


def assert_one_sentence(done: Done, *said: str) -> None:
    assert done.code == 2
    assert "Traceback" not in done.err
    (line,) = done.err.strip().splitlines()
    for text in ("error: ", *said):
        assert text in line


# Help


def test_version(lrpserve: Lrpserve) -> None:
    assert lrpserve("--version") == Done(0, f"lrpserve {__version__}\n", "")


def test_help_lists_the_commands(lrpserve: Lrpserve) -> None:
    done = lrpserve("--help")
    assert done.code == 0
    for command in COMMANDS:
        assert f"  {command} " in done.out


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_each_command_shows_an_example(lrpserve: Lrpserve, command: str) -> None:
    done = lrpserve(command, "--help")
    assert done.code == 0
    assert f"Example: lrpserve {command}" in done.out


@pytest.mark.parametrize(
    ("command", "options"), [("predict", PredictOptions), ("explain", ExplainOptions)]
)
def test_every_option_of_the_wire_is_an_option_of_the_command(
    command: str, options: type[PredictOptions]
) -> None:
    group = typer.main.get_command(app)
    found = group.commands[command].params  # type: ignore[attr-defined]
    assert set(options.model_fields) <= {parameter.name for parameter in found}


# predict


def test_predict_prints_the_best_classes_of_each_image(lrpserve: Lrpserve, photos: Path) -> None:
    cat, ship = photos / "a" / "cat.jpg", photos / "a" / "ship.jpg"
    done = lrpserve("predict", cat, ship, "--top-k", "2")
    assert (done.code, done.err) == (0, "")
    _, *rows = done.out.splitlines()
    assert [row.split()[0] for row in rows[::2]] == [str(cat), str(ship)]
    probabilities = [float(row.split()[-1]) for row in rows]
    assert len(probabilities) == 4
    assert probabilities[0] >= probabilities[1]


def test_predict_says_what_the_server_says(
    lrpserve: Lrpserve, client: httpx.Client, cat: Path
) -> None:
    answer = client.post("/predict", files={"image": cat.read_bytes()}).json()
    wanted = [[s["label"], f"{s['probability']:.4f}"] for s in answer["predictions"]]
    rows = lrpserve("predict", cat).out.splitlines()[1:]
    assert [row.split()[-2:] for row in rows] == wanted


# explain


def test_explain_writes_the_answer_and_the_pictures(lrpserve: Lrpserve, photos: Path) -> None:
    out = photos / "new" / "out"
    asked = ("--output", "heatmap,overlay,relevance", "--size", "64")
    done = lrpserve("explain", photos / "a" / "cat.jpg", "-o", out, *asked)
    assert done.code == 0
    names = sorted(path.name for path in out.iterdir())
    assert names == ["cat.heatmap.png", "cat.json", "cat.npy", "cat.overlay.png"]
    answer = json.loads((out / "cat.json").read_bytes())
    for name in ("heatmap", "overlay"):
        path = out / f"cat.{name}.png"
        with Image.open(path) as picture:
            assert picture.size == (64, 64)
        assert path.read_bytes() == base64.b64decode(answer[name])
    relevance = np.load(out / "cat.npy")
    assert relevance.tobytes() == base64.b64decode(answer["relevance"]["data"])
    assert relevance.shape == (32, 32)


def test_explain_writes_no_more_than_was_asked_for(lrpserve: Lrpserve, photos: Path) -> None:
    out = photos / "out"
    assert lrpserve("explain", photos / "a" / "cat.jpg", "-o", out).code == 0
    assert sorted(path.name for path in out.iterdir()) == ["cat.heatmap.png", "cat.json"]


def test_images_with_the_same_name_get_a_number(lrpserve: Lrpserve, photos: Path) -> None:
    cats = [photos / "a" / "cat.jpg", photos / "b" / "cat.jpg", photos / "a" / "cat.jpg"]
    out = photos / "out"
    assert lrpserve("explain", *cats, "-o", out).code == 0
    answers = [(out / f"{name}.json").read_bytes() for name in ("cat", "cat-2", "cat-3")]
    assert answers[0] == answers[2] != answers[1]


def test_a_name_that_looks_numbered_is_not_overwritten(lrpserve: Lrpserve, photos: Path) -> None:
    numbered = photos / "a" / "cat-2.jpg"
    shutil.copy(photos / "a" / "ship.jpg", numbered)
    paths = (photos / "a" / "cat.jpg", numbered, photos / "b" / "cat.jpg")
    out = photos / "out"
    assert lrpserve("explain", *paths, "-o", out).code == 0
    assert sorted(p.stem for p in out.glob("*.json")) == ["cat", "cat-2", "cat-3"]


OPTIONS: list[dict[str, str]] = [
    {},
    {"target": "ship", "contrast": "3", "start": "logit", "top_k": "2"},
    {"composite": "epsilon_plus", "epsilon": "0.01", "stabilizer": "1e-5", "zero_bias": "true"},
    {"composite": "none", "attributor": "gradient", "layer": "input", "channels": "all"},
    {"model": DEFAULT_MODEL, "fit": "pad", "bound": "0.5", "cmap": "seismic", "size": "32"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: ",".join(options) or "defaults")
def test_the_json_is_what_the_server_answers(
    lrpserve: Lrpserve, client: httpx.Client, photos: Path, options: dict[str, str]
) -> None:
    path = photos / "a" / "cat.jpg"
    asked = {"output": "heatmap,overlay,relevance", "relevance_format": "list"} | options
    answered = client.post("/explain", files={"image": path.read_bytes()}, data=asked)
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in asked.items()]
    done = lrpserve("explain", path, "-o", photos / "out", *flags)
    assert (done.code, done.err) == (0, "")
    written = json.loads((photos / "out" / "cat.json").read_bytes())
    assert_same(written, answered.raise_for_status().json())


def assert_same(one: Any, other: Any) -> None:
    """Equal, but for what two processes may round differently."""
    if isinstance(one, dict):
        assert list(one) == list(other)
        for name in one.keys() - {"heatmap", "overlay"}:  # drawn from the same relevance
            assert_same(one[name], other[name])
        assert all(one[name] and other[name] for name in one.keys() & {"heatmap", "overlay"})
    elif isinstance(one, float):
        assert one == pytest.approx(other, rel=1e-4, abs=1e-6)
    elif isinstance(one, list) and len(one) > 10:
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-4 * np.abs(one).max())
    elif isinstance(one, list):
        for mine, theirs in zip(one, other, strict=True):
            assert_same(mine, theirs)
    else:
        assert one == other


@pytest.mark.parametrize("command", ["predict", "explain"])
def test_a_bad_file_does_not_stop_the_others(
    lrpserve: Lrpserve, photos: Path, command: str
) -> None:
    folder = photos / "a"
    names = ("cat.jpg", "text.jpg", "missing.jpg", "ship.jpg")
    out = photos / "out"
    done = lrpserve(
        command, *(folder / name for name in names), *(["-o", out] if command == "explain" else [])
    )
    assert done.code == 2
    first, second = done.err.strip().splitlines()
    assert first.startswith(f"error: {folder / 'text.jpg'}: the bytes are not a PNG")
    assert second.startswith(f"error: {folder / 'missing.jpg'}: the file cannot be read")
    if command == "explain":
        assert sorted(path.stem for path in out.glob("*.json")) == ["cat", "ship"]
    else:
        assert "cat.jpg" in done.out
        assert "ship.jpg" in done.out


# models


def test_models_shows_what_can_be_served_and_marks_the_chosen_one(
    lrpserve: Lrpserve, card: ModelCard
) -> None:
    done = lrpserve("models")
    assert done.code == 0
    (row,) = [line for line in done.out.splitlines() if card.name in line]
    measured = card.accuracy["test"]
    assert row.split()[:2] == [card.name, "*"]
    assert f"{measured.accuracy:.2%} (n={measured.n})" in row
    assert "32x32" in row


# Errors

BAD_OPTIONS = [
    (("--top-k", "0"), "top_k"),
    (("--composite", "epsilon_minus"), "composite: must be one of: epsilon_plus_flat"),
    (("--composite", "none", "--epsilon", "1"), "epsilon"),
    (("--target", "unicorn"), "target: must be an index below 10"),
    (("--target", "3", "--contrast", "3"), "contrast"),
    (("--size", "big"), "size"),
    (("--output", "video"), "output"),
    (("--model", "no-such-model"), "there is no model 'no-such-model'"),
    (("--device", "abacus"), "the device 'abacus' cannot be used"),
]


@pytest.mark.parametrize(("arguments", "said"), BAD_OPTIONS, ids=lambda value: str(value)[:40])
def test_an_option_that_is_wrong_is_one_sentence(
    lrpserve: Lrpserve, photos: Path, arguments: tuple[str, ...], said: str
) -> None:
    done = lrpserve("explain", photos / "a" / "cat.jpg", "-o", photos / "out", *arguments)
    assert_one_sentence(done, said)
    assert not list((photos / "out").glob("*"))


@pytest.mark.parametrize("command", ["serve", "predict", "models"])
def test_a_setting_that_is_wrong_is_one_sentence(
    lrpserve: Lrpserve, photos: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{PREFIX}MAX_PIXELS", "lots")
    images = [photos / "a" / "cat.jpg"] if command == "predict" else []
    assert_one_sentence(lrpserve(command, *images), "LRPSERVE_MAX_PIXELS is wrong")


def test_a_model_that_is_not_there_is_one_sentence(
    lrpserve: Lrpserve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{PREFIX}MODEL", "no-such-model")
    for command in ("serve", "models"):
        assert_one_sentence(lrpserve(command), "'no-such-model'", DEFAULT_MODEL)


def test_a_folder_that_cannot_be_made_is_one_sentence(lrpserve: Lrpserve, photos: Path) -> None:
    path = photos / "a" / "cat.jpg"
    done = lrpserve("explain", path, "-o", path / "out")
    assert_one_sentence(done, f"cannot make the folder {path / 'out'}")


WRONG_USE = [
    ("explain",),
    ("predict",),
    ("paint",),
    ("serve", "--x"),
    ("serve", "--port", "65536"),
    ("serve", "--port", "-1"),
]


@pytest.mark.parametrize("arguments", WRONG_USE, ids=" ".join)
def test_a_command_that_is_not_one_is_2_and_no_traceback(
    lrpserve: Lrpserve, arguments: tuple[str, ...]
) -> None:
    done = lrpserve(*arguments)
    assert done.code == 2
    assert "Error: " in done.err
    assert "Traceback" not in done.err
