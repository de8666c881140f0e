"""The server as a process: how it starts, what it says, what its settings do, how it ends."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from os import environ
from pathlib import Path

import httpx
import pytest
from PIL import Image

from service.api_keys import hash_key
from service.models.card import ModelCard
from service.models.registry import find_bundle
from service.settings import DEFAULT_MODEL, PREFIX, Settings
from tests.helpers import gated_server
from tests.helpers.conditions import wait_until
from tests.helpers.redis_server import RedisServer, running_redis
from tests.helpers.servers import (
    COMMAND,
    RunningServer,
    running_server,
    started_server,
    wait_until_ready,
)
from tests.helpers.tools import find_tool

LIMIT_S = 60.0
KEY, OTHER_KEY = {"X-API-Key": "a-key-of-the-tests"}, {"X-API-Key": "another-key-of-the-tests"}


class Gates:
    """Lets a server load, and run jobs, when a test says so."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.command = (sys.executable, "-P", gated_server.__file__, str(folder), *COMMAND[-3:])

    def open(self, *names: str) -> None:
        for name in names:
            (self.folder / name).touch()

    def close(self, *names: str) -> None:
        for name in names:
            (self.folder / name).unlink(missing_ok=True)

    def wait_until_running(self) -> None:
        wait_until((self.folder / "running").exists)


@contextmanager
def gated(
    folder: Path, *is_open: str, settings: Mapping[str, str] | None = None
) -> Iterator[tuple[RunningServer, Gates]]:
    gates = Gates(folder)
    gates.open(*is_open)
    with started_server(folder, settings, gates.command) as server:
        if "load" in is_open:
            wait_until_ready(server)
        yield server, gates


def post(server: RunningServer, image: bytes, path: str = "/predict") -> httpx.Response:
    return httpx.post(f"{server.url}{path}", files={"image": image}, headers=KEY, timeout=LIMIT_S)


def run_to_the_end(
    settings: Mapping[str, str], *arguments: str
) -> subprocess.CompletedProcess[str]:
    """A server that is expected to end by itself."""
    return subprocess.run(
        [*COMMAND, *arguments],
        env={**environ, **settings},
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_S,
    )


def assert_one_sentence(done: subprocess.CompletedProcess[str], *said: str) -> None:
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    for text in said:
        assert text in line


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


def test_what_is_printed_says_where_what_how_good_and_how_to_try_it(
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


def test_how_to_try_it_works(server: RunningServer, cat: Path) -> None:
    printed = server.read_output()
    command = next(line for line in printed.splitlines() if "try:" in line).split("try:")[1]
    curl = command.strip().replace("cat.jpg", str(cat)).split()
    find_tool("curl")
    done = subprocess.run([*curl, "-sf"], capture_output=True, check=True, timeout=LIMIT_S)
    assert json.loads(done.stdout)["heatmap"]


# End


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda n: n.name)
def test_a_signal_ends_it_with_0_after_the_requests_that_were_accepted(
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


def test_grace_s_is_how_long_it_serves_on_though_it_is_not_ready(tmp_path: Path, cat: Path) -> None:
    settings = {f"{PREFIX}GRACE_S": "3"}
    with gated(tmp_path, "load", "run", settings=settings) as (server, _):
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: httpx.get(f"{server.url}/readyz").status_code == 503)
        assert httpx.get(f"{server.url}/readyz").json() == {"status": "grace"}
        assert httpx.get(f"{server.url}/healthz").status_code == 200
        assert post(server, cat.read_bytes()).status_code == 200
        assert server.process.poll() is None
        assert server.process.wait(LIMIT_S) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda n: n.name)
def test_a_second_signal_ends_it_at_once(tmp_path: Path, cat: Path, number: signal.Signals) -> None:
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


def test_stall_s_is_when_a_device_that_does_nothing_makes_it_not_ready(
    tmp_path: Path, cat: Path
) -> None:
    settings = {f"{PREFIX}STALL_S": "0.3", f"{PREFIX}DEADLINE_S": "0.2"}
    with gated(tmp_path, "load", settings=settings) as (server, gates):
        assert post(server, cat.read_bytes()).status_code == 504
        wait_until(lambda: httpx.get(f"{server.url}/readyz").status_code == 503)
        assert httpx.get(f"{server.url}/readyz").json() == {"status": "stalled"}
        assert httpx.get(f"{server.url}/healthz").status_code == 200
        gates.open("run")
        wait_until_ready(server)
        assert post(server, cat.read_bytes()).status_code == 200


def is_listening(url: str) -> bool:
    host, port = url.removeprefix("http://").split(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except ConnectionError:
        return False
    return True


def test_a_signal_while_it_loads_ends_it_with_0_and_it_never_is_ready(tmp_path: Path) -> None:
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


# What the settings do


def copy_bundle(bundle: Path, **changes: str) -> Path:
    """The shipped bundle with another name, and with other things in its card."""
    shutil.copytree(find_bundle(DEFAULT_MODEL), bundle)
    card = json.loads((bundle / "model.json").read_text(encoding="utf-8"))
    (bundle / "model.json").write_text(json.dumps(card | changes), encoding="utf-8")
    return bundle


@pytest.fixture(scope="module")
def configured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningServer, Gates]]:
    """A server with a value of our own for every setting."""
    folder = tmp_path_factory.mktemp("configured")
    copy_bundle(folder / "models" / "other", name="other", architecture="own_networks:make")
    code = "from service.models.architectures import build\ndef make(n): return build('minivgg', n)"
    (folder / "own_networks.py").write_text(code)
    settings = {
        "MODEL": str(copy_bundle(folder / "bundle", name="my-own")),
        "MODELS": str(folder / "models"),
        "ARCHITECTURES": "own_networks",
        "DEVICE": "cpu",
        "WORKERS": "1",
        "MAX_BATCH_SIZE": "1",
        "LOG_FORMAT": "json",
        "LOG_LEVEL": "info",
        "MAX_BODY_BYTES": "20000",
        "MAX_PIXELS": "1024",
        "QUEUE_SIZE": "1",
        "DEADLINE_S": "2.5",
        "RECEIVE_S": "3",
        "STALL_S": "30",
        "GRACE_S": "0",
        "CORS_ORIGINS": "https://page.example, https://other.example",
        "API_KEYS": ",".join([*KEY.values(), hash_key(*OTHER_KEY.values())]),
        "RATE_LIMIT": "40/day",
        "RATE_LIMIT_STORAGE": "memory://",
        "RATE_LIMIT_FAIL": "closed",
        "CACHE_BYTES": "100000",
    }
    assert {name.lower() for name in settings} == Settings.model_fields.keys()
    named = {PREFIX + name: value for name, value in settings.items()}
    named["PYTHONPATH"] = str(folder)
    with gated(folder, "load", "run", settings=named) as pair:
        yield pair


@pytest.fixture
def limited(configured: tuple[RunningServer, Gates]) -> RunningServer:
    return configured[0]


def encoded(tmp_path: Path, side: int) -> bytes:
    path = tmp_path / "image.png"
    Image.new("RGB", (side, side)).save(path)
    return path.read_bytes()


def test_model_is_the_bundle_that_is_served(limited: RunningServer, cat: Path) -> None:
    assert post(limited, cat.read_bytes()).json()["model"] == "my-own"


def test_models_of_the_folder_are_served_too(limited: RunningServer, cat: Path) -> None:
    listed = httpx.get(f"{limited.url}/models", headers=KEY).json()["models"]
    assert [(model["name"], model["default"]) for model in listed] == [
        ("my-own", True),
        ("other", False),
    ]
    assert all(model["ready"] and model["layers"] for model in listed)
    options = {"output": "relevance", "relevance_format": "list"}
    for path in ("/predict", "/explain"):
        answers = []
        for name in ("my-own", "other"):
            params = {"model": name} | (options if path == "/explain" else {})
            headers = {"Content-Type": "image/jpeg", **KEY}
            answer = httpx.post(
                limited.url + path, content=cat.read_bytes(), params=params, headers=headers
            ).json()
            assert answer.pop("model") == name
            answers.append(answer)
        assert answers[0] == answers[1]
    assert "\n  also:  other\n" in limited.read_output()


def test_architectures_are_the_modules_that_bundles_may_name(limited: RunningServer) -> None:
    other = httpx.get(f"{limited.url}/models/other", headers=KEY).json()
    assert other["architecture"] == "own_networks:make"


def test_device_is_where_it_runs(limited: RunningServer) -> None:
    assert "ready: my-own on cpu (" in limited.read_output()


def test_workers_is_how_many_processes_serve(tmp_path: Path) -> None:
    with running_server(tmp_path, {f"{PREFIX}WORKERS": "2"}) as server:
        wait_until(lambda: "workers: 2" in server.read_output())


@pytest.mark.parametrize("bound", [1, 2])
def test_max_batch_size_bounds_what_is_computed_at_once(
    tmp_path: Path, cat: Path, bound: int
) -> None:
    settings = {f"{PREFIX}MAX_BATCH_SIZE": str(bound)}
    with running_server(tmp_path, settings) as server, ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda _: post(server, cat.read_bytes()), range(64)))
        lines = httpx.get(f"{server.url}/metrics").text.splitlines()
    pairs = [line.rsplit(" ", 1) for line in lines if line[0] != "#"]
    counts = {name: float(value) for name, value in pairs}
    n_batches = counts["lrpserve_batch_size_count"]
    assert counts["lrpserve_batch_size_sum"] == 64
    assert counts[f'lrpserve_batch_size_bucket{{le="{bound}.0"}}'] == n_batches
    assert 64 / bound <= n_batches <= 64


def test_log_format_json_is_a_line_for_each_request_without_its_image(
    limited: RunningServer, cat: Path
) -> None:
    image = cat.read_bytes()
    headers = {"X-Request-ID": "to-be-found", "Content-Type": "image/jpeg", **KEY}
    httpx.post(f"{limited.url}/explain?output=relevance", content=image, headers=headers)
    wait_until(lambda: "to-be-found" in limited.read_output())
    (line,) = [line for line in limited.read_output().splitlines() if "to-be-found" in line]
    entry = json.loads(line)
    wanted = {
        "message": "request",
        "level": "INFO",
        "method": "POST",
        "path": "/explain",
        "status": 200,
        "model": "my-own",
        "composite": "epsilon_plus_flat",
        "key": hash_key(*KEY.values()).removeprefix("sha256:")[:8],
    }
    assert wanted.items() <= entry.items()
    stages = ("decode_ms", "queue_ms", "compute_ms", "render_ms", "total_ms")
    assert all(entry[stage] >= 0 for stage in stages)
    assert len(line) < 1000
    assert next(iter(KEY.values())) not in limited.read_output()


@pytest.mark.parametrize(("level", "is_logged"), [("info", True), ("warning", False)])
def test_log_level_warning_leaves_out_the_requests(
    tmp_path: Path, level: str, is_logged: bool
) -> None:
    with running_server(tmp_path, {f"{PREFIX}LOG_LEVEL": level}) as server:
        httpx.get(f"{server.url}/models", headers={"X-Request-ID": "to-be-found"})
        assert server.stop() == 0
        assert ("request_id=to-be-found" in server.read_output()) is is_logged


def test_max_body_bytes_is_what_a_body_may_have(limited: RunningServer) -> None:
    url, headers = f"{limited.url}/predict", {"Content-Type": "image/png", **KEY}
    for size, status in ((20_000, 400), (20_001, 413)):
        assert httpx.post(url, content=bytes(size), headers=headers).status_code == status


def test_what_an_image_may_have_is_told(limited: RunningServer) -> None:
    limits = httpx.get(f"{limited.url}/models", headers=KEY).json()["limits"]
    assert limits == {"max_body_bytes": 20_000, "max_pixels": 1024}


def test_max_pixels_is_what_an_image_may_have(limited: RunningServer, tmp_path: Path) -> None:
    assert post(limited, encoded(tmp_path, 32)).status_code == 200
    refused = post(limited, encoded(tmp_path, 33))
    assert refused.status_code == 413
    assert "at most 1024" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("origin", "is_allowed"),
    [
        ("https://page.example", True),
        ("https://other.example", True),
        ("https://elsewhere.example", False),
    ],
)
def test_cors_origins_are_the_pages_that_may_ask(
    limited: RunningServer, origin: str, is_allowed: bool
) -> None:
    answer = httpx.get(f"{limited.url}/models", headers={"Origin": origin, **KEY})
    allowed = answer.headers.get("access-control-allow-origin")
    assert allowed == (origin if is_allowed else None)


def test_without_cors_origins_no_page_may_ask(server: RunningServer) -> None:
    answer = httpx.get(f"{server.url}/models", headers={"Origin": "https://page.example"})
    assert "access-control-allow-origin" not in answer.headers


def test_api_keys_are_those_that_are_let_in(limited: RunningServer) -> None:
    url = f"{limited.url}/models"
    unknown = {"X-API-Key": "x" * 20}
    for headers, status in ((KEY, 200), (OTHER_KEY, 200), (unknown, 401), ({}, 401)):
        assert httpx.get(url, headers=headers).status_code == status
    assert next(iter(KEY.values())) not in limited.read_output()


def test_rate_limit_is_how_often_a_key_may_ask(limited: RunningServer) -> None:
    url = f"{limited.url}/predict"
    statuses = [httpx.post(url, headers=OTHER_KEY).status_code for _ in range(42)]
    assert statuses == [415] * 40 + [429] * 2
    assert httpx.post(url, headers=KEY).status_code == 415


def test_rate_limit_storage_is_shared_by_workers_and_replicas(tmp_path: Path) -> None:
    replicas = [tmp_path / "one", tmp_path / "other"]
    for folder in replicas:
        folder.mkdir()
    with ExitStack() as stack:
        redis = stack.enter_context(running_redis(tmp_path))
        settings = shared_limit(redis, "50/month")
        pool = stack.enter_context(ThreadPoolExecutor(8))
        servers = [
            stack.enter_context(running_server(folder, settings | {f"{PREFIX}WORKERS": workers}))
            for folder, workers in zip(replicas, ("2", "1"), strict=True)
        ]
        # each request on a connection of its own, to any worker
        urls = [f"{server.url}/predict" for server in servers] * 75
        statuses = list(pool.map(lambda url: post_nothing(url).status_code, urls))
        for server in servers:
            assert f"rate limits are counted in {redis.url}" in server.read_output()
    assert (statuses.count(415), statuses.count(429)) == (50, 100)


@pytest.mark.parametrize(("fail", "meanwhile"), [("open", 415), ("closed", 503)])
def test_rate_limit_fail_is_what_happens_without_the_storage(
    tmp_path: Path, fail: str, meanwhile: int
) -> None:
    with running_redis(tmp_path) as redis:
        settings = shared_limit(redis, "2/month") | {f"{PREFIX}RATE_LIMIT_FAIL": fail}
        with running_server(tmp_path, settings) as server:
            url = f"{server.url}/predict"
            assert [post_nothing(url).status_code for _ in range(3)] == [415, 415, 429]
            redis.stop()
            assert {post_nothing(url).status_code for _ in range(20)} == {meanwhile}
            redis.start()  # it has forgotten what it counted
            wait_until(lambda: post_nothing(url).status_code == 429)
            assert server.read_output().count("can be reached again") == 1
            assert server.read_output().count("cannot be reached") == 1


def shared_limit(redis: RedisServer, limit: str) -> dict[str, str]:
    settings = {"API_KEYS": KEY["X-API-Key"], "RATE_LIMIT": limit, "RATE_LIMIT_STORAGE": redis.url}
    return {PREFIX + name: value for name, value in settings.items()}


def post_nothing(url: str) -> httpx.Response:
    # to read the certificates that it would verify takes longer than the request
    return httpx.post(url, headers=KEY, timeout=LIMIT_S, verify=False)


def test_cache_bytes_is_what_answers_are_kept_in(limited: RunningServer, cat: Path) -> None:
    first, again = (post(limited, cat.read_bytes()) for _ in range(2))
    assert first.content == again.content
    assert "compute" not in again.headers["server-timing"]


def test_queue_size_and_deadline_s_bound_what_waits(
    configured: tuple[RunningServer, Gates], cat: Path
) -> None:
    server, gates = configured
    image = cat.read_bytes() + b"which nobody has asked about before"
    gates.close("run", "running")
    with ThreadPoolExecutor() as pool:
        started_at = time.monotonic()
        running = pool.submit(post, server, image)
        gates.wait_until_running()
        others = [pool.submit(post, server, image) for _ in range(2)]
        answers = sorted(
            (future.result(LIMIT_S) for future in (running, *others)), key=lambda a: a.status_code
        )
        waited_s = time.monotonic() - started_at
    assert [answer.status_code for answer in answers] == [429, 504, 504]
    assert int(answers[0].headers["retry-after"]) >= 1
    assert waited_s >= 2.5
    assert "within 2.5 s" in answers[1].json()["detail"]
    gates.open("run")
    assert post(server, image).status_code == 200


def test_receive_s_is_how_long_a_client_may_take(limited: RunningServer) -> None:
    host, port = limited.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=LIMIT_S) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\n")
        began = time.monotonic()
        assert client.recv(1000).startswith(b"HTTP/1.1 408")
        assert time.monotonic() - began > 2.5


def test_every_setting_has_a_test_of_its_effect() -> None:
    tests = " ".join(name for name in globals() if name.startswith("test_"))
    assert [name for name in Settings.model_fields if name not in tests] == []
