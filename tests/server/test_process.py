"""The server as a process: how it starts, what it prints, how it ends."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from service.models.card import ModelCard
from service.settings import DEFAULT_MODEL, PREFIX
from tests.helpers.conditions import LIMIT_S, wait_until
from tests.helpers.gates import gated, is_listening, post
from tests.helpers.servers import (
    RunningServer,
    assert_one_sentence,
    copy_bundle,
    run_to_the_end,
    wait_until_ready,
)
from tests.helpers.tools import find_tool

# Start


def test_the_port_is_open_while_the_model_loads(tmp_path: Path, cat: Path) -> None:
    with gated(tmp_path, "run") as (server, gates):
        assert httpx.get(f"{server.url}/healthz").status_code == 200
        ready = httpx.get(f"{server.url}/readyz")
        assert (ready.status_code, ready.json()) == (503, {"status": "starting"})
        answer = post(server, cat.read_bytes())
        assert answer.status_code == 503
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["retry-after"] == "1"
        assert "being loaded" in answer.json()["detail"]
        assert "ready:" not in server.read_output()
        gates.open("load")
        wait_until_ready(server)
        assert post(server, cat.read_bytes()).status_code == 200


def test_it_prints_its_address_model_accuracy_and_an_example(
    server: RunningServer, card: ModelCard
) -> None:
    printed = server.read_output()
    assert f"listens on {server.url}; loading the model" in printed
    measured = card.accuracy["test"]
    ready = next(line for line in printed.splitlines() if line.startswith("ready: "))
    assert ready.startswith(f"ready: {card.name} on ")
    assert any(device in ready for device in ("on cpu (", "on cuda"))
    assert ready.endswith(f"accuracy {measured.accuracy:.2%} of {measured.n} test images")
    assert f"curl -F image=@cat.jpg {server.url}/explain" in printed
    assert f"{server.url}/docs" in printed


def test_the_printed_example_works(server: RunningServer, cat: Path) -> None:
    printed = server.read_output()
    command = next(line for line in printed.splitlines() if "try:" in line).split("try:")[1]
    curl = command.strip().replace("cat.jpg", str(cat)).split()
    find_tool("curl")
    done = subprocess.run([*curl, "-sf"], capture_output=True, check=True, timeout=LIMIT_S)
    assert json.loads(done.stdout)["heatmap"]


# End


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda n: n.name
)
def test_a_signal_finishes_accepted_requests_and_exits_with_0(
    tmp_path: Path, cat: Path, number: signal.Signals
) -> None:
    with gated(tmp_path, "load") as (server, gates), ThreadPoolExecutor() as pool:
        accepted = pool.submit(post, server, cat.read_bytes(), "/explain")
        gates.wait_until_running()
        server.process.send_signal(number)
        wait_until(lambda: not is_listening(server.url))
        assert server.process.poll() is None
        gates.open("run")
        answer = accepted.result(LIMIT_S)
        assert answer.status_code == 200
        assert answer.json()["heatmap"]
        assert server.process.wait(LIMIT_S) == 0
        assert "Traceback" not in server.read_output()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda n: n.name)
def test_a_second_signal_exits_at_once(tmp_path: Path, cat: Path, number: signal.Signals) -> None:
    with gated(tmp_path, "load") as (server, gates), ThreadPoolExecutor() as pool:
        accepted = pool.submit(post, server, cat.read_bytes())
        gates.wait_until_running()
        server.process.send_signal(number)
        wait_until(lambda: not is_listening(server.url))
        assert server.process.poll() is None
        server.process.send_signal(number)
        assert server.process.wait(LIMIT_S) == 128 + number
        with pytest.raises(httpx.HTTPError):
            accepted.result(LIMIT_S)


def test_a_signal_while_it_loads_exits_with_0_and_it_is_never_ready(tmp_path: Path) -> None:
    with gated(tmp_path) as (server, gates):
        wait_until(lambda: "startup complete" in server.read_output())
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: not is_listening(server.url))
        gates.open("load")
        assert server.process.wait(LIMIT_S) == 0
        assert "ready:" not in server.read_output()


# What is wrong is said in one sentence, and the exit status is 2


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run_to_the_end({}, "--port", str(port))
    assert_one_sentence(done, f"127.0.0.1:{port}", "choose another --host or --port")


def test_a_bundle_with_one_byte_that_is_not_what_it_was(tmp_path: Path) -> None:
    bundle = copy_bundle(tmp_path / "bundle")
    weights = bundle / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    done = run_to_the_end({f"{PREFIX}MODEL": str(bundle)})
    assert_one_sentence(done, str(weights), "sha256")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"MODEL": "no-such-model"}, ("'no-such-model'", DEFAULT_MODEL)),
        ({"QUEUE_SIZE": "many"}, ("LRPSERVE_QUEUE_SIZE is wrong",)),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_a_setting_that_cannot_be_used(settings: dict[str, str], said: tuple[str, ...]) -> None:
    done = run_to_the_end({PREFIX + name: value for name, value in settings.items()})
    assert_one_sentence(done, *said)
