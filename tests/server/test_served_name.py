"""A bundle in a folder of any name is served under LRPSERVE_MODEL_NAME, as KServe mounts it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from service.models.card import ModelCard
from tests.helpers.servers import (
    RunningServer,
    assert_one_sentence,
    copy_bundle,
    run_to_the_end,
    running_server,
)

NAME = "horses"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("served-name")
    settings = {
        "LRPSERVE_MODEL": str(copy_bundle(folder / "models")),
        "LRPSERVE_MODEL_NAME": NAME,
        "LRPSERVE_CACHE_BYTES": "1000000",
    }
    with running_server(folder, settings) as running:
        yield running


def test_the_model_is_listed_under_that_name_only(server: RunningServer, card: ModelCard) -> None:
    (listed,) = httpx.get(f"{server.url}/models").json()["models"]
    assert (listed["name"], listed["default"], listed["ready"]) == (NAME, True, True)
    assert httpx.get(f"{server.url}/models/{NAME}").json() == listed
    refused = httpx.get(f"{server.url}/models/{card.name}")
    assert refused.status_code == 404
    assert NAME in refused.json()["detail"]


@pytest.mark.parametrize("path", ["predict", "explain"])
def test_responses_and_the_option_have_that_name(
    server: RunningServer, cat: Path, card: ModelCard, path: str
) -> None:
    for options in ({}, {"model": NAME}):
        response = httpx.post(
            f"{server.url}/{path}", files={"image": cat.read_bytes()}, data=options
        )
        assert response.json()["model"] == NAME
    refused = httpx.post(
        f"{server.url}/{path}", files={"image": cat.read_bytes()}, data={"model": card.name}
    )
    assert refused.status_code == 422
    assert f"there is no such model; there are: {NAME}" in refused.text


def test_metrics_the_cache_and_the_log_have_that_name(server: RunningServer, cat: Path) -> None:
    for _ in range(2):
        httpx.post(f"{server.url}/predict", files={"image": cat.read_bytes()}).raise_for_status()
    metrics = httpx.get(f"{server.url}/metrics").text
    assert f'model="{NAME}"' in metrics
    assert "minivgg" not in metrics
    lookups = 'lrpserve_cache_lookups_total{result="hit"} '
    (hits,) = [line for line in metrics.splitlines() if line.startswith(lookups)]
    assert float(hits.removeprefix(lookups)) >= 1
    assert f"ready: {NAME} on " in server.read_output()


def test_a_name_that_cannot_be_is_one_sentence() -> None:
    done = run_to_the_end({"LRPSERVE_MODEL_NAME": "My horses"})
    assert_one_sentence(done, "'My horses' cannot be a model's name", "a-z, 0-9")
