"""Models that are replaced, loaded and unloaded while real workers serve."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from service.models.card import ModelCard
from service.settings import PREFIX
from tests.helpers.bundles import replace_bundle, write_variant
from tests.helpers.conditions import wait_until
from tests.helpers.processes import anonymous_bytes, worker_pids
from tests.helpers.requests import (
    LIMIT_S,
    Exchange,
    ReferenceResponses,
    send_until,
    wait_for_jobs,
)
from tests.helpers.servers import RunningServer, copy_bundle, running_server

pytestmark = pytest.mark.alone

N_CLIENTS = 8
N_RELOADS = 4
OTHER = "other"


@dataclass
class Served:
    """A server with two workers whose default model is one of two variants."""

    server: RunningServer
    folder: Path
    variants: tuple[ModelCard, ModelCard]

    @property
    def default(self) -> str:
        """Name of the default model."""
        return self.variants[0].name

    def put(self, variant: int) -> ModelCard:
        """Put a variant in place of the default model's bundle."""
        replace_bundle(self.folder / "default", self.folder / f"variant-{variant}")
        return self.variants[variant]

    def post(self, path: str) -> httpx.Response:
        """Send a request without a body."""
        return httpx.post(f"{self.server.url}/models/{path}", timeout=LIMIT_S)

    def reload(self, variant: int) -> dict[str, object]:
        """Put a variant in place, and reload the model."""
        self.put(variant)
        response = self.post(f"{self.default}/reload")
        assert response.status_code == 200, response.text
        fields: dict[str, object] = response.json()
        return fields

    def hashes(self, n: int = 24, model: str | None = None) -> set[str]:
        """The hashes of the model in that many responses, each on a connection of its own."""
        options = {"model": model or self.default}
        files = {"image": (Path("tests/samples/cat/0000.jpg")).read_bytes()}
        url = f"{self.server.url}/predict"
        responses = [httpx.post(url, files=files, data=options, timeout=60) for _ in range(n)]
        return {str(response.json()["model_sha256"]) for response in responses}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("reload")
    variants = tuple(write_variant(folder / f"variant-{n}", n) for n in range(2))
    replace_bundle(folder / "default", folder / "variant-0")
    copy_bundle(folder / "models" / OTHER, name=OTHER)
    settings = {
        "WORKERS": "2",
        "MODEL": str(folder / "default"),
        "MODELS": str(folder / "models"),
        "MODEL_CONTROL": "open",
        "LOG_LEVEL": "warning",
    }
    named = {f"{PREFIX}{name}": value for name, value in settings.items()}
    with running_server(folder, named) as server:
        wait_until(lambda: "workers: 2" in server.read_output())
        yield Served(server, folder, (variants[0], variants[1]))


def test_under_load_no_request_fails_and_each_answer_is_of_one_version(served: Served) -> None:
    references = {}
    for variant in (1, 0):
        sha256 = str(served.reload(variant)["sha256"])
        references[sha256] = ReferenceResponses(served.server.url)
    exchanges, reloads = asyncio.run(reload_under_load(served))
    hashes = [sha256 for _, _, sha256 in reloads]
    assert len(set(hashes)) == 2
    for exchange in exchanges:
        assert isinstance(exchange.response, httpx.Response), exchange.response
        assert exchange.status == 200, exchange.response.text
        references[exchange.response.json()["model_sha256"]].assert_correct(exchange)
    n_checked = 0
    for (_, done, sha256), (next_began, _, _) in itertools.pairwise(reloads):
        for exchange in exchanges:
            if done <= exchange.began and exchange.ended <= next_began:
                assert isinstance(exchange.response, httpx.Response)
                assert exchange.response.json()["model_sha256"] == sha256
                n_checked += 1
    assert n_checked > N_CLIENTS


async def reload_under_load(
    served: Served,
) -> tuple[list[Exchange], list[tuple[float, float, str]]]:
    """Replace the model again and again; returns the exchanges, and when it had which hash."""
    is_over, url = False, served.server.url
    load = asyncio.create_task(send_until(url, N_CLIENTS, lambda: is_over))
    reloads = []
    for n in range(N_RELOADS):
        await asyncio.to_thread(wait_for_jobs, url, 4 * N_CLIENTS)
        began = time.monotonic()
        fields = await asyncio.to_thread(served.reload, (n + 1) % 2)
        assert fields["is_changed"]
        assert fields["workers"] == 2
        reloads.append((began, time.monotonic(), str(fields["sha256"])))
    await asyncio.to_thread(wait_for_jobs, url, N_CLIENTS)
    is_over = True
    return await load, reloads


def test_the_list_of_models_and_the_answers_have_the_new_hash(served: Served) -> None:
    served.reload(0)
    changed = served.reload(1)
    assert changed == {
        "name": served.default,
        "sha256": served.variants[1].sha256,
        "previous_sha256": served.variants[0].sha256,
        "is_changed": True,
        "workers": 2,
    }
    assert served.hashes() == {served.variants[1].sha256}
    listed = [httpx.get(f"{served.server.url}/models/{served.default}").json() for _ in range(8)]
    assert {model["sha256"] for model in listed} == {served.variants[1].sha256}
    assert all(model["layers"] for model in listed)


def test_the_same_bundle_is_not_loaded_again(served: Served) -> None:
    served.reload(0)
    assert served.post(f"{served.default}/reload").json()["is_changed"] is False


@pytest.mark.parametrize("file", ["model.safetensors", "model.json"])
def test_a_broken_bundle_changes_nothing_and_the_response_says_why(
    served: Served, file: str
) -> None:
    served.reload(0)
    served.put(1)
    broken = served.folder / "default" / file
    broken.write_bytes(broken.read_bytes()[:-100])
    response = served.post(f"{served.default}/reload")
    assert response.status_code == 422
    assert response.json()["type"] == "urn:lrpserve:problem:load-error"
    assert str(broken) in response.json()["detail"]
    assert served.hashes() == {served.variants[0].sha256}


def test_broken_weights_are_noticed_under_an_unchanged_card(served: Served) -> None:
    served.reload(0)
    weights = served.folder / "default" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\1")
    response = served.post(f"{served.default}/reload")
    assert (response.status_code, "sha256" in response.json()["detail"]) == (422, True)


def test_a_new_model_is_loaded_and_unloaded_in_all_workers(served: Served) -> None:
    name = "newcomer"
    card = write_variant(served.folder / "models" / "a-folder", 7, name)
    loaded = served.post(f"{name}/reload").json()
    assert (loaded["sha256"], loaded["previous_sha256"]) == (card.sha256, None)
    assert served.hashes(model=name) == {card.sha256}
    unloaded = served.post(f"{name}/unload").json()
    assert (unloaded["sha256"], unloaded["workers"]) == (None, 2)
    for _ in range(8):
        assert httpx.get(f"{served.server.url}/models/{name}").status_code == 404
    image = {"image": Path("tests/samples/cat/0000.jpg").read_bytes()}
    refused = httpx.post(f"{served.server.url}/explain", files=image, data={"model": name})
    assert refused.status_code == 422
    assert name not in refused.json()["detail"]
    assert served.post(f"{name}/unload").status_code == 404


def test_the_default_model_cannot_be_unloaded(served: Served) -> None:
    assert served.post(f"{served.default}/unload").status_code == 409


def test_an_unknown_model_is_a_404_that_lists_the_others(served: Served) -> None:
    response = served.post("unknown/reload")
    assert (response.status_code, OTHER in response.json()["detail"]) == (404, True)


def test_a_worker_that_is_replaced_starts_with_the_newest(served: Served) -> None:
    served.reload(0)
    served.post(f"{OTHER}/unload")
    served.put(1)  # nobody asks for it
    before = worker_pids(served.server.process.pid)
    os.kill(before[0], signal.SIGKILL)
    wait_until(lambda: len(set(worker_pids(served.server.process.pid)) - set(before)) == 1)
    wait_until(lambda: is_served(served, served.variants[1]))
    assert served.hashes() == {served.variants[1].sha256}
    for _ in range(8):
        assert httpx.get(f"{served.server.url}/models/{OTHER}").status_code == 404
    assert served.post(f"{OTHER}/reload").json()["workers"] == 2


def is_served(served: Served, card: ModelCard) -> bool:
    try:
        return served.hashes(8) == {card.sha256}
    except httpx.TransportError:  # a connection of the worker that was killed
        return False


def test_replaced_models_leave_nothing_in_memory(served: Served) -> None:
    def replace(n: int) -> int:
        for number in range(n):
            served.reload(number % 2)
        return sum(anonymous_bytes(pid) for pid in worker_pids(served.server.process.pid))

    before = replace(4)
    n_bytes = (served.folder / "variant-0" / "model.safetensors").stat().st_size
    after = replace(8)
    assert after - before < 5 * n_bytes, "two workers have loaded eight models each"
