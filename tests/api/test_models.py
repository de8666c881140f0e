"""Models that are loaded and unloaded in one process: what is allowed, listed and answered."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

import service.app
from service.api.model_changes import ModelStatus
from service.errors import ServiceError
from service.settings import DEFAULT_MODEL, Settings
from service.worker_state import State
from tests.api.in_process import Connection, FakeEngine, connect
from tests.api.sending import problem_of
from tests.helpers.servers import copy_bundle

KEY = "a-key-of-these-tests"
OTHER, NEW = "other", "new"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    copy_bundle(tmp_path / OTHER, name=OTHER)
    return tmp_path


@contextmanager
def serving(folder: Path, **settings: object) -> Iterator[Connection]:
    engine = FakeEngine(DEFAULT_MODEL, OTHER, NEW)
    given = {"model_control": "open", **settings}
    with connect(Settings(models=folder, **given), engine) as connection:  # type: ignore[arg-type]
        yield connection


def post(connection: Connection, path: str, **content: object) -> httpx.Response:
    return connection.request("POST", f"/models/{path}", **content)


def relabel(bundle: Path) -> None:
    """Change the card of a bundle, as a new training would."""
    card = bundle / "model.json"
    card.write_text(card.read_text().replace('"airplane"', '"aeroplane"'))


def labels(connection: Connection, model: str) -> list[str]:
    found: list[str] = connection.request("GET", f"/models/{model}").json()["labels"]
    return found


def test_a_replaced_card_is_served_after_a_reload_only(folder: Path) -> None:
    with serving(folder) as connection:
        relabel(folder / OTHER)
        assert "airplane" in labels(connection, OTHER)
        response = post(connection, f"{OTHER}/reload")
        assert (response.status_code, response.json()["is_changed"]) == (200, True)
        assert "aeroplane" in labels(connection, OTHER)
        assert "airplane" in labels(connection, DEFAULT_MODEL)


def test_an_old_response_is_not_found_in_the_cache(folder: Path, photo: bytes) -> None:
    with serving(folder, cache_bytes=1_000_000) as connection:

        def ask() -> list[str]:
            files = {"image": photo}
            data = {"model": OTHER, "top_k": "10"}
            response = connection.request("POST", "/predict", files=files, data=data)
            return [score["label"] for score in response.json()["predictions"]]

        assert "airplane" in ask()
        assert "airplane" in ask()
        assert connection.app_state.cache.hits == 1
        relabel(folder / OTHER)
        post(connection, f"{OTHER}/reload")
        assert "aeroplane" in ask()
        assert connection.app_state.cache.hits == 1


@pytest.mark.parametrize("operation", ["reload", "unload"])
def test_without_keys_nobody_may_change_models(folder: Path, operation: str) -> None:
    with serving(folder, model_control="keys") as connection:
        problem = problem_of(post(connection, f"{OTHER}/{operation}"), 403)
        assert "LRPSERVE_API_KEYS" in problem.detail
        assert OTHER in connection.app_state.cards


def test_with_keys_only_who_has_one_may(folder: Path) -> None:
    with serving(folder, model_control="keys", api_keys=(KEY,)) as connection:
        assert post(connection, f"{OTHER}/reload").status_code == 401
        assert post(connection, f"{OTHER}/reload", headers={"X-API-Key": KEY}).status_code == 200


def test_it_can_be_turned_off(folder: Path) -> None:
    with serving(folder, model_control="off", api_keys=(KEY,)) as connection:
        response = post(connection, f"{OTHER}/reload", headers={"X-API-Key": KEY})
        assert "MODEL_CONTROL=keys" in problem_of(response, 403).detail


def test_while_the_service_starts_nothing_is_loaded(folder: Path) -> None:
    with serving(folder) as connection, connection.state(State.STARTING):
        response = post(connection, f"{OTHER}/reload")
        problem_of(response, 503)
        assert response.headers["retry-after"] == "1"


def test_the_index_says_what_is_loaded_and_what_could_be(folder: Path) -> None:
    with serving(folder) as connection:
        copy_bundle(folder / NEW, name=NEW)
        (folder / "torn").mkdir()
        (folder / "torn" / "model.json").write_text("{")
        weights = folder / OTHER / "model.safetensors"
        weights.write_bytes(b"torn")
        problem_of(post(connection, f"{OTHER}/reload"), 422)
        index = {one.name: one for one in connection.run(connection.app_state.models.index())}
        sha256 = connection.app_state.card(OTHER).sha256
        assert index[DEFAULT_MODEL] == ModelStatus(DEFAULT_MODEL, "ready", "", sha256)
        assert (index[OTHER].state, "sha256" in index[OTHER].reason) == ("ready", True)
        assert index[NEW] == ModelStatus(NEW, "unavailable", "it is not loaded", None)
        assert (index["torn"].state, "not a valid card" in index["torn"].reason) == (
            "unavailable",
            True,
        )


def test_an_unforeseen_error_of_loading_is_a_reason_too(folder: Path) -> None:
    with serving(folder) as connection:
        relabel(folder / OTHER)

        def fail(*arguments: object) -> None:
            raise RuntimeError("no memory is left")

        with connection.loading_by(fail):
            problem = problem_of(post(connection, f"{OTHER}/reload"), 422)
        assert "RuntimeError: no memory is left" in problem.detail
        assert "airplane" in labels(connection, OTHER)
        text = connection.request("GET", "/metrics").text
        assert 'lrpserve_model_loads_total{outcome="failed"} 1.0' in text


def test_a_card_that_changes_while_it_is_loaded_is_refused(folder: Path) -> None:
    with serving(folder) as connection:
        relabel(folder / OTHER)
        load = service.app._load_engines

        def load_slowly(*arguments: object) -> object:
            card = folder / OTHER / "model.json"
            card.write_text(card.read_text().replace('"bird"', '"birds"'))
            return load(*arguments)  # type: ignore[arg-type]

        with connection.loading_by(load_slowly):
            problem = problem_of(post(connection, f"{OTHER}/reload"), 422)
        assert "changed while it was loaded" in problem.detail


def test_metrics_have_the_hash_that_is_served(folder: Path) -> None:
    with serving(folder) as connection:
        sha256 = connection.app_state.card(OTHER).sha256
        served = f'lrpserve_model_workers{{model="{OTHER}",sha256="{sha256}"}}'
        assert f"{served} 1.0" in connection.request("GET", "/metrics").text
        post(connection, f"{OTHER}/unload")
        assert f"{served} 0.0" in connection.request("GET", "/metrics").text


def test_a_bundle_that_moved_is_found_by_its_name(folder: Path) -> None:
    with serving(folder) as connection:
        shutil.move(folder / OTHER, folder / "elsewhere")
        relabel(folder / "elsewhere")
        assert post(connection, f"{OTHER}/reload").json()["is_changed"] is True


def test_a_bundle_that_is_gone_is_a_404_and_served_on(folder: Path) -> None:
    with serving(folder) as connection:
        shutil.rmtree(folder / OTHER)
        problem_of(post(connection, f"{OTHER}/reload"), 404)
        assert "airplane" in labels(connection, OTHER)
        with pytest.raises(ServiceError, match="no model"):
            connection.run(connection.app_state.models.load("nothing"))
