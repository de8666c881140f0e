"""Triton's and KServe's own clients of the Open Inference Protocol v2 against a real server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.settings import DEFAULT_MODEL
from tests.helpers.environments import run_script
from tests.helpers.servers import running_server
from tests.helpers.sockets import free_port

pytestmark = [pytest.mark.ecosystem, pytest.mark.timeout(300)]
SCRIPTS = Path(__file__).parent / "scripts"
KEY = "a-key-of-the-ecosystem"
KINDS = ("http", "aio", "grpc")
LABELS = 10
Outcomes = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The URL and the address of gRPC of a server with keys."""
    port = free_port()
    settings = {"LRPSERVE_API_KEYS": KEY, "LRPSERVE_GRPC_PORT": str(port)}
    with running_server(tmp_path_factory.mktemp("oip"), settings) as server:
        yield server.url, f"127.0.0.1:{port}"


@pytest.fixture(scope="module", params=KINDS)
def triton(
    request: pytest.FixtureRequest, clients: Path, cat: Path, addresses: tuple[str, str]
) -> tuple[str, Outcomes]:
    """A kind of Triton's client, and what its calls returned or raised."""
    url, grpc = addresses
    address = grpc if request.param == "grpc" else url.removeprefix("http://")
    arguments = (request.param, address, DEFAULT_MODEL, str(cat), KEY)
    found: Outcomes = run_script(clients, SCRIPTS / "triton_calls.py", *arguments)
    return request.param, found


@pytest.fixture(scope="module")
def kserve(clients: Path, cat: Path, addresses: tuple[str, str]) -> Outcomes:
    """What the calls of KServe's clients returned or raised."""
    arguments = (*addresses, DEFAULT_MODEL, str(cat), KEY)
    found: Outcomes = run_script(clients, SCRIPTS / "kserve_v2.py", *arguments)
    return found


def test_triton_reads_health_and_metadata(triton: tuple[str, Outcomes]) -> None:
    kind, found = triton
    for name in ("live", "ready", "model ready", "version ready"):
        assert found[name] == {"value": True}, name
    assert found["server metadata"]["value"]["name"] == "lrpserve"
    model = found["model metadata"]["value"]
    assert model == found["version metadata"]["value"]
    assert (model["name"], model["versions"]) == (DEFAULT_MODEL, ["1"])
    scores = next(output for output in model["outputs"] if output["name"] == "scores")
    assert [int(side) for side in scores["shape"]] == [-1, LABELS]
    config = found["config"]["value"]
    config = config["config"] if kind == "grpc" else config
    assert config["input"][0] | {"dims": [-1]} == {
        "name": "image",
        "data_type": "TYPE_STRING",
        "dims": [-1],
    }


def test_triton_manages_models(triton: tuple[str, Outcomes]) -> None:
    kind, found = triton
    index = found["index"]["value"]
    (entry,) = index["models"] if kind == "grpc" else index
    assert (entry["name"], entry["state"]) == (DEFAULT_MODEL, "READY")
    assert found["load"] == {"value": None}
    assert "default model" in found["unload"]["error"]
    assert found["statistics"]["value"]["model_stats"][0]["name"] == DEFAULT_MODEL


def test_triton_gets_every_output(triton: tuple[str, Outcomes]) -> None:
    outputs = triton[1]["infer"]["value"]
    assert outputs["relevance"] == ["float32", 1, 32, 32]
    assert outputs["heatmap"] == ["uint8", 1, 256, 256, 3]
    assert outputs["heatmap_png"][0].startswith("\x89PNG")
    assert json.loads(outputs["explanation"][0])["target"]["label"] == "dog"
    assert sum(outputs["scores"][0]) == pytest.approx(1)
    default = triton[1]["no outputs"]["value"]
    assert [name for name, value in default.items() if value is None] == ["heatmap_png"]
    assert default["scores"] == outputs["scores"]


def test_triton_sends_what_it_can(triton: tuple[str, Outcomes]) -> None:
    kind, found = triton
    assert len(found["pixels"]["value"]["scores"]) == 2
    scores = found["in json"]["value"]["scores"]
    assert scores[0] == pytest.approx(scores[1], abs=1e-5)
    assert found["in json"]["value"]["relevance"] is None
    best = found["classes"]["value"]["scores"][0]
    assert best[0].split(":")[2] == "cat"
    for name in {"http": ("gzip", "deflate", "json pixels")}.get(kind, ()):
        assert len(found[name]["value"]["scores"]) == 1


@pytest.mark.parametrize(
    ("name", "words", "code"),
    [
        ("timeout", "no result within", "DEADLINE_EXCEEDED"),
        ("no key", "an API key is needed", "UNAUTHENTICATED"),
        ("no model", "there is no model 'wolf'", "NOT_FOUND"),
        ("no class", "target: must be an index below 10, or one of", "INVALID_ARGUMENT"),
        ("no image", "image 1 of 2: the bytes are not a PNG", "INVALID_ARGUMENT"),
    ],
)
def test_triton_reads_errors(
    triton: tuple[str, Outcomes], name: str, words: str, code: str
) -> None:
    kind, found = triton
    assert words in found[name]["error"]
    assert kind != "grpc" or found[name]["status"] == f"StatusCode.{code}"


def test_triton_reads_that_a_message_is_too_large(triton: tuple[str, Outcomes]) -> None:
    error = triton[1]["too large"]["error"]
    assert ("larger than max" in error) or ("more than 10000000 bytes" in error)


def test_calls_have_deadlines_and_no_compression(triton: tuple[str, Outcomes]) -> None:
    kind, found = triton
    if kind == "grpc":
        assert found["late"]["status"] == "StatusCode.DEADLINE_EXCEEDED"
        assert "ompression" in found["compressed"]["error"]


@pytest.mark.parametrize("prefix", ["", "grpc "])
def test_kserve_reads_health(kserve: Outcomes, prefix: str) -> None:
    for name in ("live", "ready", "model ready"):
        assert kserve[prefix + name] == {"value": True}


def test_kserve_gets_tensors(kserve: Outcomes) -> None:
    heatmap = [1, 256, 256, 3]
    assert kserve["binary"]["value"]["shapes"] == {"scores": [1, LABELS], "heatmap": heatmap}
    in_json = kserve["json"]["value"]
    assert (in_json["id"], in_json["model"]) == ("my-id", DEFAULT_MODEL)
    assert in_json["shapes"]["relevance"] == [1, 32, 32]
    assert kserve["png"]["value"]["shapes"] == {"heatmap_png": [1], "explanation": [1]}
    for name in ("binary default", "grpc infer"):
        shapes = kserve[name]["value"]["shapes"]
        assert (shapes["heatmap"], shapes["explanation"]) == (heatmap, [1])
    assert kserve["grpc infer"]["value"]["id"] == "k1"
    assert kserve["dict"]["value"]["model"] == DEFAULT_MODEL


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no key", "an API key is needed"),
        ("no model", "there is no model 'wolf'"),
        ("no class", "target: must be an index below 10"),
        ("grpc no key", "an API key is needed"),
        ("grpc no class", "target: must be an index below 10"),
    ],
)
def test_kserve_reads_errors(kserve: Outcomes, name: str, words: str) -> None:
    assert words in kserve[name]["error"]
