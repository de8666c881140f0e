"""`lrpserve explain`: the files it writes are the server's responses."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import typer
from PIL import Image

from service.api.request.options import ExplainOptions, PredictOptions
from service.commands.__main__ import app
from service.methods import all_parameters
from service.models.registry import find_bundle
from service.settings import DEFAULT_MODEL, PREFIX
from tests.api.sending import send
from tests.commands.command_line import Lrpserve, assert_one_sentence


@pytest.mark.parametrize(
    ("command", "options"), [("predict", PredictOptions), ("explain", ExplainOptions)]
)
def test_every_option_of_the_api_is_an_option_of_the_command(
    command: str, options: type[PredictOptions]
) -> None:
    group = typer.main.get_command(app)
    found = group.commands[command].params  # type: ignore[attr-defined]
    assert set(options.model_fields) <= {parameter.name for parameter in found}


@pytest.mark.parametrize("name", all_parameters())
def test_the_help_of_explain_describes_each_parameter(lrpserve: Lrpserve, name: str) -> None:
    parameter = all_parameters()[name]
    printed = " ".join(lrpserve("explain", "--help").out.split())
    option = f" --{name.replace('_', '-')} "
    assert option in printed
    text = printed.split(option, 1)[1].partition(" ")[2]  # after the type: <str>, or TEXT
    shown = "false" if parameter.default is False else str(parameter.default)
    default = "" if parameter.default is None else f" ({shown})"
    assert text.startswith(f"{parameter.text}{default} ")


def test_explain_writes_the_response_the_images_and_the_relevance(
    lrpserve: Lrpserve, photos: Path
) -> None:
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


@pytest.mark.parametrize(
    ("flags", "names"),
    [
        ((), ["cat.heatmap.png", "cat.json", "cat.overlay.png"]),
        (("--output", "relevance"), ["cat.json", "cat.npy"]),
        (("--output", "view,original"), ["cat.json", "cat.original.png", "cat.view.png"]),
    ],
)
def test_explain_writes_only_the_requested_outputs(
    lrpserve: Lrpserve, photos: Path, flags: tuple[str, ...], names: list[str]
) -> None:
    out = photos / "out"
    assert lrpserve("explain", photos / "a" / "cat.jpg", "-o", out, *flags).code == 0
    assert sorted(path.name for path in out.iterdir()) == names


def test_explain_says_whether_the_map_is_right(
    lrpserve: Lrpserve, photos: Path, client: httpx.Client
) -> None:
    cat, out = photos / "a" / "cat.jpg", photos / "out"
    done = lrpserve("explain", cat, photos / "b" / "cat.jpg", "-o", out, "--output", "evidence")
    assert done.code == 0
    found = json.loads((out / "cat.json").read_bytes())["evidence"]
    assert done.out.splitlines()[0] == f"{cat}: {found['text']}"
    assert len(done.out.splitlines()) == 2
    params = {"output": "evidence"}
    served = send(client, cat.read_bytes(), params).json()["evidence"]
    assert found["verdict"] == served["verdict"]
    assert found["n_forwards"] == served["n_forwards"] == 75
    for name in ("most_relevant_first", "least_relevant_first"):
        np.testing.assert_allclose(
            found["deletion"][name], served["deletion"][name], rtol=1e-3, atol=1e-5
        )


@pytest.mark.parametrize("name", ["view", "original"])
def test_explain_writes_the_image_itself(lrpserve: Lrpserve, photos: Path, name: str) -> None:
    path, out = photos / "a" / "dark.png", photos / "out"
    Image.new("RGB", (40, 30), (9, 8, 7)).save(path)
    assert lrpserve("explain", path, "-o", out, "--output", name, "--size", "80").code == 0
    with Image.open(out / f"dark.{name}.png") as picture:
        assert picture.size == ((80, 80) if name == "view" else (80, 60))
        assert (np.asarray(picture) == (9, 8, 7)).all()


def test_images_of_the_same_name_are_numbered(lrpserve: Lrpserve, photos: Path) -> None:
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
    {"composite": "epsilon_gamma_box", "gamma": "0.5", "layer": "features.5"},
    {"composite": "beta_smooth", "beta": "2", "attributor": "smooth_grad", "n_samples": "3"},
    {"attributor": "integrated_gradients", "n_steps": "3", "baseline": "black"},
    {"attributor": "occlusion", "window": "16", "stride": "16"},
    {"composite": '[{"layers": "type:linear", "rule": "wsquare"}]'},
    {"model": DEFAULT_MODEL, "fit": "pad", "bound": "0.5", "cmap": "seismic", "size": "32"},
    {"enlarge": "smooth", "overlay_style": "contours", "color_bar": "true"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: ",".join(options) or "defaults")
def test_the_json_equals_the_response_of_the_server(
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


def test_each_of_several_targets_has_its_files(
    lrpserve: Lrpserve, client: httpx.Client, photos: Path
) -> None:
    path, out = photos / "a" / "cat.jpg", photos / "out"
    asked = {"output": "heatmap,overlay,relevance", "relevance_format": "list"}
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in asked.items()]
    done = lrpserve("explain", path, "-o", out, *flags, "--targets", "dog", "--targets", "0")
    assert (done.code, done.err) == (0, "")
    kinds = ("heatmap.png", "npy", "overlay.png")
    names = [f"cat.{label}.{kind}" for label in ("airplane", "dog") for kind in kinds]
    assert sorted(file.name for file in out.iterdir()) == sorted([*names, "cat.json"])
    image = base64.b64encode(path.read_bytes()).decode()
    body = {**asked, "targets": ["dog", 0], "image": image}
    written = json.loads((out / "cat.json").read_bytes())
    assert_same(written, client.post("/explain", json=body).raise_for_status().json())
    for explanation in written["explanations"]:
        label = explanation["target"]["label"]
        heatmap = (out / f"cat.{label}.heatmap.png").read_bytes()
        assert heatmap == base64.b64decode(explanation["heatmap"])
        relevance = np.load(out / f"cat.{label}.npy")
        np.testing.assert_allclose(relevance, explanation["relevance"]["data"], rtol=1e-6)


def test_a_label_that_is_no_file_name_is_replaced_by_its_index(
    lrpserve: Lrpserve, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = shutil.copytree(find_bundle(DEFAULT_MODEL), photos / "bundle")
    card = json.loads((bundle / "model.json").read_text())
    card["labels"][:5] = ["../up", "7", "tench, Tinca tinca", "a/b", ".hidden"]
    (bundle / "model.json").write_text(json.dumps(card))
    monkeypatch.setenv(f"{PREFIX}MODEL", str(bundle))
    targets = [f"--targets={index}" for index in range(6)]
    done = lrpserve("explain", photos / "a" / "cat.jpg", "-o", photos / "out", *targets)
    assert (done.code, done.err) == (0, "")
    pictures = (photos / "out").glob("*.heatmap.png")
    found = sorted(path.name.split(".")[1] for path in pictures)
    assert found == ["0", "1", "3", "4", "dog", "tench, Tinca tinca"]


RULES = [
    {"layers": "type:dense", "rule": "epsilon"},
    {"layers": "type:convolution", "rule": "flat"},
]


@pytest.mark.parametrize("text", [json.dumps(RULES), "\ufeff\n" + json.dumps(RULES, indent=1)])
def test_a_composite_may_be_read_from_a_file(lrpserve: Lrpserve, photos: Path, text: str) -> None:
    (photos / "rules.json").write_text(text, encoding="utf-8")
    answers = []
    for name, given in (("inline", json.dumps(RULES)), ("file", f"@{photos}/rules.json")):
        arguments = ("-o", photos / name, "--composite", given)
        assert lrpserve("explain", photos / "a" / "cat.jpg", *arguments).code == 0
        answers.append((photos / name / "cat.json").read_bytes())
    assert answers[0] == answers[1]
    method = json.loads(answers[0])["method"]
    assert [rule["rule"] for rule in method["rules"]] == ["epsilon", "flat"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "rules.json cannot be read: No such file"),
        (b"\xff\xfe[", "rules.json cannot be read: it is not UTF-8"),
        (b'{"layers": "x"}', "rules.json must be a list of rules in JSON"),
        (b"epsilon_plus", "rules.json must be a list of rules in JSON"),
        (b"[1", "composite: is not valid JSON"),
        (b"[1]", "composite: entry 1 must be an object"),
    ],
)
def test_an_invalid_file_of_rules_is_one_sentence(
    lrpserve: Lrpserve, photos: Path, content: bytes | None, said: str
) -> None:
    if content is not None:
        (photos / "rules.json").write_bytes(content)
    given = ("--composite", f"@{photos}/rules.json")
    done = lrpserve("explain", photos / "a" / "cat.jpg", "-o", photos / "out", *given)
    assert_one_sentence(done, said)


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
def test_a_broken_image_does_not_stop_the_others(
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


BAD_OPTIONS = [
    (("--top-k", "0"), "top_k"),
    (("--composite", "epsilon_minus"), "composite: must be one of: epsilon_plus_flat"),
    (("--composite", "none", "--epsilon", "1"), "epsilon"),
    (("--target", "unicorn"), "target: must be an index below 10"),
    (("--target", "3", "--contrast", "3"), "contrast"),
    (("--size", "big"), "size"),
    (("--output", "video"), "output"),
    (("--gamma", "1"), "gamma: the composite epsilon_plus_flat has no such parameter; it has: eps"),
    (("--attributor", "occlusion", "--start", "logit"), "start: must be one_hot with occlusion"),
    (("--targets", "cat", "--target", "dog"), "target: does not go with `targets`"),
    (("--targets", "cat", "--targets", "3"), "targets: names a class more than once"),
    (("--layer", "conv9"), "layer: there is no such layer; there are: input, "),
    (("--layer", "classifier.7"), "output: the layer classifier.7 has no rows and columns"),
    (("--model", "no-such-model"), "there is no model 'no-such-model'"),
    (("--device", "abacus"), "the device 'abacus' cannot be used"),
]


@pytest.mark.parametrize(("arguments", "said"), BAD_OPTIONS, ids=lambda value: str(value)[:40])
def test_an_invalid_option_is_one_sentence(
    lrpserve: Lrpserve, photos: Path, arguments: tuple[str, ...], said: str
) -> None:
    done = lrpserve("explain", photos / "a" / "cat.jpg", "-o", photos / "out", *arguments)
    assert_one_sentence(done, said)
    assert not list((photos / "out").glob("*"))


def test_a_folder_that_cannot_be_created_is_one_sentence(lrpserve: Lrpserve, photos: Path) -> None:
    path = photos / "a" / "cat.jpg"
    done = lrpserve("explain", path, "-o", path / "out")
    assert_one_sentence(done, f"cannot make the folder {path / 'out'}")
