"""KServe's own REST client, protocol v1, against a real server with API keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from service.settings import DEFAULT_MODEL
from tests.helpers.environments import run_script
from tests.helpers.servers import running_server

pytestmark = [pytest.mark.ecosystem, pytest.mark.timeout(300)]

SCRIPT = Path(__file__).parent / "scripts" / "kserve_v1.py"
KEY = "a-key-of-the-ecosystem"


@pytest.fixture(scope="module")
def outcomes(
    clients: Path, cat: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Any]]:
    """What the client returned or raised, by call."""
    settings = {"LRPSERVE_API_KEYS": KEY, "LRPSERVE_GRACE_S": "120"}
    with running_server(tmp_path_factory.mktemp("kserve"), settings) as server:
        arguments = (server.url, DEFAULT_MODEL, str(cat), KEY, str(server.process.pid))
        found: dict[str, dict[str, Any]] = run_script(clients, SCRIPT, *arguments)
    return found


def test_the_server_is_live_and_its_model_ready(outcomes: dict[str, Any]) -> None:
    assert outcomes["live"] == {"value": True}
    assert outcomes["model ready"] == {"value": True}
    assert outcomes["not ready"] == {"value": False}


def test_images_are_predicted(outcomes: dict[str, Any]) -> None:
    (prediction,) = outcomes["infer"]["value"]["predictions"]
    assert prediction["predictions"][0]["label"] == "cat"
    assert prediction["status"] == 200


def test_a_bad_image_fails_alone(outcomes: dict[str, Any]) -> None:
    first, second, third = outcomes["infer some"]["value"]["predictions"]
    assert [first["status"], second["status"], third["status"]] == [200, 400, 200]
    assert "are not a PNG" in second["error"]
    assert first == third


def test_images_are_explained(outcomes: dict[str, Any]) -> None:
    value = outcomes["explain"]["value"]
    (explanation,) = value["explanations"]
    assert explanation["target"]["label"] == "cat"
    assert explanation["relevance"]["shape"] == [32, 32]
    assert value["predictions"][0]["predictions"] == explanation["predictions"]
    targets = [
        each["target"]["index"] for each in outcomes["explain each"]["value"]["explanations"]
    ]
    assert targets == [1, 2]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("no model ready", "there is no model 'nope'"),
        ("infer no model", "there is no model 'nope'"),
        ("infer bad", "are not a PNG"),
        ("infer no key", "an API key is needed"),
        ("infer no list", "`instances` must be a list"),
        ("explain bad", "cmap: must be one of"),
    ],
)
def test_errors_can_be_read(outcomes: dict[str, Any], call: str, words: str) -> None:
    assert words in outcomes[call]["text"]
