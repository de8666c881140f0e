"""The command line: the same answers without a server, and errors of one sentence."""

from __future__ import annotations

import base64
import hashlib
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
import torch
import typer
from PIL import Image

from service import __version__
from service.api.request.options import ExplainOptions, PredictOptions
from service.commands.__main__ import app, run
from service.lrp import selftest
from service.lrp.selftest import Check
from service.methods import COMPOSITES, all_parameters
from service.models.architectures import build
from service.models.card import ModelCard, read_card
from service.models.registry import find_bundle
from service.runtime.engine import Engine
from service.settings import DEFAULT_MODEL, PREFIX, Settings

COMMANDS = ("serve", "predict", "explain", "models", "import", "verify", "key")


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
    # `serve` would let all later tests log to the standard error of this one
    monkeypatch.setattr("service.logs.logging.config.dictConfig", lambda config: None)

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


# Keys


def test_key_makes_a_new_key_each_time_and_its_hash(lrpserve: Lrpserve) -> None:
    done = [lrpserve("key") for _ in range(2)]
    made = [one.out.split() for one in done]
    assert [(one.code, one.err) for one in done] == [(0, ""), (0, "")]
    for key, hashed in made:
        assert len(key) >= 43  # 256 bits
        assert hashed == "sha256:" + hashlib.sha256(key.encode()).hexdigest()
        assert Settings(api_keys=(key,)) == Settings(api_keys=(hashed,))
    assert made[0] != made[1]


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


@pytest.mark.parametrize("name", all_parameters())
def test_the_help_of_explain_says_what_each_parameter_does(lrpserve: Lrpserve, name: str) -> None:
    parameter = all_parameters()[name]
    told = " ".join(lrpserve("explain", "--help").out.split())
    _, found, text = told.partition(f" --{name.replace('_', '-')} <str> ")
    assert found
    shown = "false" if parameter.default is False else str(parameter.default)
    default = "" if parameter.default is None else f" ({shown})"
    assert text.startswith(f"{parameter.text}{default} ")


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
    {"composite": "epsilon_gamma_box", "gamma": "0.5", "layer": "features.5"},
    {"composite": "beta_smooth", "beta": "2", "attributor": "smooth_grad", "n_samples": "3"},
    {"attributor": "integrated_gradients", "n_steps": "3", "baseline": "black"},
    {"attributor": "occlusion", "window": "16", "stride": "16"},
    {"composite": '[{"layers": "type:linear", "rule": "wsquare"}]'},
    {"model": DEFAULT_MODEL, "fit": "pad", "bound": "0.5", "cmap": "seismic", "size": "32"},
    {"enlarge": "smooth", "overlay_style": "contours", "color_bar": "true"},
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


def test_several_classes_each_have_their_files(
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


def test_a_label_that_is_no_name_of_a_file_gives_way_to_its_index(
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
    pictures = (photos / "out").glob("*.png")
    found = sorted(path.name.split(".")[1] for path in pictures)
    assert found == ["0", "1", "3", "4", "dog", "tench, Tinca tinca"]


RULES = [
    {"layers": "type:dense", "rule": "epsilon"},
    {"layers": "type:convolution", "rule": "flat"},
]


@pytest.mark.parametrize("text", [json.dumps(RULES), "\ufeff\n" + json.dumps(RULES, indent=1)])
def test_a_composite_of_ones_own_may_stand_in_a_file(
    lrpserve: Lrpserve, photos: Path, text: str
) -> None:
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
        (b"\xff\xfe[", "rules.json cannot be read: it is not a text"),
        (b'{"layers": "x"}', "rules.json has to hold a list of rules, in JSON"),
        (b"epsilon_plus", "rules.json has to hold a list of rules, in JSON"),
        (b"[1", "composite: is not valid JSON"),
        (b"[1]", "composite: entry 1 must be an object"),
    ],
)
def test_a_file_of_rules_that_is_wrong_is_one_sentence(
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


def test_models_lists_a_bundle_that_is_chosen_by_its_path(
    lrpserve: Lrpserve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = shutil.copytree(find_bundle(DEFAULT_MODEL), tmp_path / "bundle")
    monkeypatch.setenv(f"{PREFIX}MODEL", str(bundle))
    shipped, chosen = lrpserve("models").out.splitlines()[1:]
    assert shipped.split()[:2] == [DEFAULT_MODEL, "minivgg"]
    assert chosen.split()[:2] == [str(bundle), "*"]


# import


@pytest.fixture
def resnet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a user types: the weights and the labels of a small network of their own."""
    torch.manual_seed(0)
    model = build("resnet18", 2)
    torch.save({"state_dict": model.state_dict()}, tmp_path / "weights.pth")
    (tmp_path / "labels.txt").write_text("crane\ncrane\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


IMPORT: dict[str, str] = {
    "arch": "resnet18",
    "weights": "weights.pth",
    "labels": "labels.txt",
    "mean": "0.485,0.456,0.406",
    "std": "0.229,0.224,0.225",
    "size": "32x64",
}


def flags(**changes: str) -> list[str]:
    return [f"--{name}={value}" for name, value in (IMPORT | changes).items()]


def test_import_makes_a_model_that_models_lists(
    lrpserve: Lrpserve, resnet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = lrpserve("import", *flags(resize="72", data="birds and machines"), "cranes")
    assert done.code == 0
    assert done.err == "note: the label 'crane' is there again for class 1, now 'crane (2)'\n"
    serve = "LRPSERVE_MODELS=models LRPSERVE_MODEL=cranes make serve"
    assert done.out == f"wrote models/cranes; serve it with: {serve}\n"
    monkeypatch.setenv(f"{PREFIX}MODELS", "models")
    monkeypatch.setenv(f"{PREFIX}MODEL", "cranes")
    shipped, own = lrpserve("models").out.splitlines()[1:]
    assert shipped.split()[0] == DEFAULT_MODEL
    assert own.split() == [
        "cranes",
        "*",
        "resnet18",
        "2",
        "32x64",
        "-",
        *["birds", "and", "machines"],
    ]
    card = read_card(find_bundle("cranes", resnet / "models"))
    assert (card.input_size, card.resize, card.mean) == ((32, 64), 72, (0.485, 0.456, 0.406))


def test_import_writes_to_the_folder_of_models_and_replaces_only_by_force(
    lrpserve: Lrpserve, resnet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{PREFIX}MODELS", str(resnet / "mine"))
    assert lrpserve("import", *flags(), "cranes").code == 0
    assert_one_sentence(lrpserve("import", *flags(), "cranes"), "is there already", "--force")
    assert lrpserve("import", *flags(), "--force", "cranes").code == 0
    assert [path.name for path in (resnet / "mine").iterdir()] == ["cranes"]
    assert not (resnet / "models").exists()


def test_import_takes_code_of_a_module_that_is_allowed(
    lrpserve: Lrpserve, resnet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "from torchvision.models import resnet18\ndef net(n): return resnet18(num_classes=n)\n"
    (resnet / "own_cranes.py").write_text(code)
    monkeypatch.syspath_prepend(str(resnet))
    asked = flags(arch="own_cranes:net")
    refused = lrpserve("import", *asked, "cranes")
    assert_one_sentence(refused, "LRPSERVE_ARCHITECTURES=own_cranes")
    monkeypatch.setenv(f"{PREFIX}ARCHITECTURES", "own_cranes")
    done = lrpserve("import", *asked, "cranes")
    assert done.out.endswith("LRPSERVE_ARCHITECTURES=own_cranes make serve\n")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"mean": "123.7,116.3,103.5"}, "mean: '123.7,116.3,103.5' has to be three numbers"),
        ({"std": "0.2"}, "std: '0.2' has to be three numbers"),
        ({"size": "big"}, "size: 'big' has to be as in 224"),
        ({"resize": "63"}, "resize must be at least as large as both sides"),
        ({"arch": "resnet19"}, "'resnet19' is not known"),
        ({"arch": "vgg11"}, "missing (features.0.weight"),
        ({"weights": "labels.txt"}, "labels.txt has to be a .safetensors, .pt or .pth file"),
        ({"labels": "weights.pth"}, "weights.pth are not UTF-8"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_an_import_that_fails_is_one_sentence_and_leaves_nothing(
    lrpserve: Lrpserve, resnet: Path, changes: dict[str, str], said: str
) -> None:
    assert_one_sentence(lrpserve("import", *flags(**changes), "cranes"), said)
    assert sorted(path.name for path in resnet.iterdir()) == ["labels.txt", "weights.pth"]


def test_import_does_not_guess_the_normalization(lrpserve: Lrpserve, resnet: Path) -> None:
    for missing in ("mean", "std", "size"):
        given = [flag for flag in flags() if not flag.startswith(f"--{missing}=")]
        done = lrpserve("import", *given, "cranes")
        assert done.code == 2
        assert f"'--{missing}'" in done.err
    assert not (resnet / "models").exists()


# verify


def test_verify_compares_every_composite_in_both_precisions(lrpserve: Lrpserve) -> None:
    done = lrpserve("verify", DEFAULT_MODEL, "--device", "cpu")
    assert (done.code, done.err) == (0, "")
    title, _, *rows = done.out.splitlines()
    assert title.startswith(f"{DEFAULT_MODEL} on ")
    assert [row.split()[:2] for row in rows] == [
        [name, precision] for precision in ("float64", "float32") for name in COMPOSITES
    ]
    assert all(row.split()[-1] == "passed" for row in rows)


def test_verify_ends_with_2_where_one_differs(
    lrpserve: Lrpserve, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = [
        Check("epsilon_plus", "float64", "twin", 1e-9, 1e-9),
        Check("none", "float32", "twin", float("inf"), 1e-4),
        Check("epsilon_gamma_box", "float32", "-", 0.0, 1e-4),
    ]
    monkeypatch.setattr(Engine, "verify", lambda engine: checks)
    done = lrpserve("verify")
    assert (done.code, done.err) == (2, "")
    _, _, *rows = done.out.splitlines()
    assert rows[0].split() == ["epsilon_plus", "float64", "twin", "1.0e-09", "1e-09", "passed"]
    assert rows[1].split() == ["none", "float32", "twin", "inf", "0.0001", "FAILED"]
    assert rows[2].rstrip().endswith("does not fit the network")


def test_verify_shows_a_model_that_fails_where_serving_refuses_it(
    lrpserve: Lrpserve, monkeypatch: pytest.MonkeyPatch, photos: Path
) -> None:
    monkeypatch.setattr(selftest, "difference", lambda found, wanted: 1.0)
    refused = lrpserve("predict", photos / "a" / "cat.jpg")
    assert_one_sentence(refused, "fails its self-test", f"`lrpserve verify {DEFAULT_MODEL}`")
    done = lrpserve("verify")
    assert done.code == 2
    assert done.out.count("FAILED") == 2 * len(COMPOSITES)


# Errors

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


def test_a_folder_of_models_that_is_not_there_is_one_sentence(
    lrpserve: Lrpserve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{PREFIX}MODELS", "/nowhere/at/all")
    assert_one_sentence(lrpserve("models"), "/nowhere/at/all", "LRPSERVE_MODELS has to be a folder")


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
