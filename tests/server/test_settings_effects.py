"""Each setting has its effect on a server in its own process."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
from PIL import Image

from service.api_keys import hash_key
from service.settings import PREFIX, Settings
from tests.helpers.conditions import LIMIT_S, wait_until
from tests.helpers.connections import head
from tests.helpers.gates import KEY, Gates, gated, post
from tests.helpers.processes import worker_pids
from tests.helpers.redis_server import RedisServer, running_redis
from tests.helpers.servers import (
    RunningServer,
    copy_bundle,
    running_server,
    wait_until_ready,
)

OTHER_KEY = {"X-API-Key": "another-key-of-the-tests"}


TESTS = Path(__file__).parents[1]
# with servers of their own
TESTED_ELSEWHERE = {
    "model_name": "server/test_served_name.py",
    "model_control": "server/test_reload.py",
    "watch_s": "api/test_model_watch.py",
    "grpc_port": "api/protocols/test_open_inference_grpc.py",
    "tls_cert": "server/test_tls.py",
    "tls_key": "helpers/authority.py",
    "tls_key_password": "server/test_tls.py",
    "commit": "api/routes/test_health.py",
}


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
        "MAX_BODIES_BYTES": "20000",
        "MAX_CONNECTIONS": "50",
        "MAX_PIXELS": "1024",
        "MAX_PICTURE_PIXELS": str(1 << 24),
        "MAX_IMAGES": "2",
        "DECODE_PIXELS": "1000000",
        "QUEUE_SIZE": "1",
        "DEADLINE_S": "2.5",
        "RECEIVE_S": "3",
        "STALL_S": "30",
        "HANG_S": "60",
        "MAX_PASSES": "9",
        "GRACE_S": "0",
        "CORS_ORIGINS": "https://page.example, https://other.example",
        "API_KEYS": ",".join([*KEY.values(), hash_key(*OTHER_KEY.values())]),
        "RATE_LIMIT": "40/day",
        "RATE_LIMIT_STORAGE": "memory://",
        "RATE_LIMIT_FAIL": "closed",
        "CACHE_BYTES": "100000",
        "ROOT_PATH": "/team/lrp",
    }
    assert {name.lower() for name in settings} == Settings.model_fields.keys() - TESTED_ELSEWHERE
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


def test_workers_is_how_many_processes_serve_and_hang_s_how_long_one_may_hang(
    tmp_path: Path,
) -> None:
    with running_server(tmp_path, {f"{PREFIX}WORKERS": "2", f"{PREFIX}HANG_S": "3"}) as server:
        wait_until(lambda: "workers: 2" in server.read_output())
        stopped = worker_pids(server.process.pid)[0]
        os.kill(stopped, signal.SIGSTOP)
        # less than the default
        wait_until(lambda: stopped not in worker_pids(server.process.pid), limit_s=20)


def test_max_passes_is_how_many_a_request_may_take(limited: RunningServer, cat: Path) -> None:
    for n_samples, status in ((9, 200), (10, 422)):
        params: dict[str, str | int] = {"attributor": "smooth_grad", "n_samples": n_samples}
        headers = {"Content-Type": "image/jpeg", **KEY}
        url = f"{limited.url}/explain"
        answer = httpx.post(url, content=cat.read_bytes(), params=params, headers=headers)
        assert answer.status_code == status


def test_max_images_is_how_many_a_request_may_have(limited: RunningServer, cat: Path) -> None:
    for n, status in ((2, 200), (3, 413)):
        files = [("image", cat.read_bytes())] * n
        answer = httpx.post(f"{limited.url}/predict", files=files, headers=KEY)
        assert answer.status_code == status


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
        "path": "/team/lrp/explain",
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


def test_log_level_warning_leaves_out_the_requests(tmp_path: Path, server: RunningServer) -> None:
    headers = {"X-Request-ID": "to-be-left-out-or-found"}
    logged = f"request_id={headers['X-Request-ID']}"
    httpx.get(f"{server.url}/models", headers=headers)
    wait_until(lambda: logged in server.read_output())
    with running_server(tmp_path, {f"{PREFIX}LOG_LEVEL": "warning"}) as silent:
        httpx.get(f"{silent.url}/models", headers=headers)
        assert silent.stop() == 0
        assert logged not in silent.read_output()


def test_max_body_bytes_is_what_a_body_may_have(limited: RunningServer) -> None:
    url, headers = f"{limited.url}/predict", {"Content-Type": "image/png", **KEY}
    for size, status in ((20_000, 400), (20_001, 413)):
        assert httpx.post(url, content=bytes(size), headers=headers).status_code == status


def test_max_bodies_bytes_is_what_all_bodies_may_have(limited: RunningServer) -> None:
    unfinished = head("/predict", 16_000, f"X-API-Key: {KEY['X-API-Key']}") + bytes(15_000)
    with connected(limited, 2) as clients:
        for client in clients:
            client.sendall(unfinished)
        refused, _, _ = select.select(clients, [], [], LIMIT_S)
        assert [client.recv(12) for client in refused] == [b"HTTP/1.1 503"]


def test_max_connections_is_how_many_are_open(limited: RunningServer) -> None:
    with connected(limited, 60) as clients:
        assert clients[0].recv(1) == b""  # the first makes room for the last
        clients[-1].sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        assert clients[-1].recv(12) == b"HTTP/1.1 200"


@contextmanager
def connected(server: RunningServer, n: int) -> Iterator[list[socket.socket]]:
    host, port = server.url.removeprefix("http://").split(":")
    address = (host, int(port))
    with ExitStack() as opened:
        yield [
            opened.enter_context(socket.create_connection(address, timeout=LIMIT_S))
            for _ in range(n)
        ]


def test_max_picture_pixels_is_told_beside_the_other_limits(limited: RunningServer) -> None:
    limits = httpx.get(f"{limited.url}/models", headers=KEY).json()["limits"]
    assert limits == {
        "max_body_bytes": 20_000,
        "max_pixels": 1024,
        "max_images": 2,
        "max_passes": 9,
        "max_picture_pixels": 1 << 24,
    }


def test_decode_pixels_bounds_what_is_decoded_at_once(tmp_path: Path) -> None:
    image, settings = encoded(tmp_path, 3000), {f"{PREFIX}DECODE_PIXELS": "1"}
    with running_server(tmp_path, settings) as server, ThreadPoolExecutor(8) as threads:
        answers = threads.map(lambda _: post(server, image), range(8))
        assert {answer.status_code for answer in answers} == {200, 503}


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


def test_root_path_is_the_prefix_of_every_path(limited: RunningServer) -> None:
    with_prefix, without = (
        httpx.get(f"{limited.url}{prefix}/healthz", timeout=30) for prefix in ("/team/lrp", "")
    )
    assert with_prefix.status_code == without.status_code == 200
    document = httpx.get(f"{limited.url}/openapi.json", timeout=30).json()
    assert document["servers"] == [{"url": "/team/lrp"}]


def test_grace_s_is_how_long_it_serves_after_a_signal(tmp_path: Path, cat: Path) -> None:
    settings = {f"{PREFIX}GRACE_S": "3"}
    with gated(tmp_path, "load", "run", settings=settings) as (server, _):
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: httpx.get(f"{server.url}/readyz").status_code == 503)
        assert httpx.get(f"{server.url}/readyz").json() == {"status": "grace"}
        assert httpx.get(f"{server.url}/healthz").status_code == 200
        assert post(server, cat.read_bytes()).status_code == 200
        assert server.process.poll() is None
        assert server.process.wait(LIMIT_S) == 0


def test_stall_s_is_when_a_hanging_batch_makes_it_not_ready(tmp_path: Path, cat: Path) -> None:
    settings = {f"{PREFIX}STALL_S": "0.3", f"{PREFIX}DEADLINE_S": "0.2"}
    with gated(tmp_path, "load", settings=settings) as (server, gates):
        assert post(server, cat.read_bytes()).status_code == 504
        wait_until(lambda: httpx.get(f"{server.url}/readyz").status_code == 503)
        assert httpx.get(f"{server.url}/readyz").json() == {"status": "stalled"}
        assert httpx.get(f"{server.url}/healthz").status_code == 200
        gates.open("run")
        wait_until_ready(server)
        assert post(server, cat.read_bytes()).status_code == 200


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


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_has_a_test_of_its_effect(name: str) -> None:
    if name not in TESTED_ELSEWHERE:
        assert name in " ".join(name for name in globals() if name.startswith("test_"))
        return
    text = (TESTS / TESTED_ELSEWHERE[name]).read_text(encoding="utf-8")
    assert name in text.lower()
