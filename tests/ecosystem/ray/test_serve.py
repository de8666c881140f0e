"""`lrpserve ray` on a real Ray: the same answers, a killed replica, scaling, our own refusals."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.ecosystem.ray.conftest import RayServer
from tests.helpers.conditions import wait_until
from tests.helpers.requests import (
    PATHS,
    Exchange,
    ImageRequest,
    ReferenceResponses,
    image_requests,
    metric,
    send_all,
    send_until,
)
from tests.helpers.servers import RunningServer

pytestmark = [pytest.mark.ecosystem, pytest.mark.timeout(300)]

RAW = {"Content-Type": "image/jpeg"}
# deploys a second application; exits with 3 where Ray Serve says that it has failed
DEPLOY = """
import sys
import ray
from ray import serve
from service.ray import build
ray.init(log_to_driver=False)
try:
    serve.run(
        build({"model": sys.argv[1], "num_cpus": "0.1"}), name="broken", route_prefix="/broken"
    )
except RuntimeError:
    print(serve.status().applications["broken"].deployments["lrpserve"].message)
    serve.delete("broken")
    sys.exit(3)
"""
DELETE = """
import ray
from ray import serve
ray.init(log_to_driver=False)
serve.delete("second")
"""


def send_in_turn(url: str, n: int) -> list[Exchange]:
    """Send requests one after another."""
    return [asyncio.run(send_all(url, [request]))[0] for request in image_requests(n)]


def statuses(exchanges: list[Exchange]) -> set[int | None]:
    return {each.status for each in exchanges}


def test_replicas_answer_as_a_plain_process(ray_server: RayServer, server: RunningServer) -> None:
    reference = ReferenceResponses(server.url)
    exchanges = send_in_turn(ray_server.url, 64)
    for exchange in exchanges:
        reference.assert_correct(exchange)
    answered = {ray_server.replica_of(exchange.request.id) for exchange in exchanges}
    assert answered == ray_server.replicas()
    assert len(answered) == 2


def test_a_response_has_one_request_id(ray_server: RayServer, cat: Path) -> None:
    def post(path: str, **headers: str) -> httpx.Response:
        headers |= RAW
        url = ray_server.url + path
        return httpx.post(url, content=cat.read_bytes(), headers=headers, timeout=60)

    sent = post("/predict", **{"X-Request-ID": "from-the-client"})
    assert sent.headers.get_list("x-request-id") == ["from-the-client"]
    refused = post("/predict?top_k=0")
    assert refused.status_code == 422
    assert refused.headers.get_list("x-request-id") == [refused.json()["request_id"]]


def test_a_client_that_leaves_cancels_its_job(ray_server: RayServer, cat: Path) -> None:
    query = "attributor=occlusion&window=1&stride=1"  # a thousand passes
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"{ray_server.url}/explain?{query}",
            content=cat.read_bytes(),
            headers=RAW,
            timeout=httpx.Timeout(60, read=0.5),
        )
    name = 'lrpserve_jobs_total{outcome="cancelled"}'
    wait_until(lambda: metric(ray_server.url, name) == 1)  # of any replica


def test_a_replica_is_added_under_load_and_no_request_fails(ray_server: RayServer) -> None:
    before = ray_server.replicas()

    def watch() -> None:
        wait_until(lambda: ray_server.answering_replicas() - before, limit_s=120)

    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch)
        exchanges = asyncio.run(send_until(ray_server.url, 16, watching.done))
        watching.result()
    assert statuses(exchanges) == {200}


def test_a_full_queue_answers_429_with_retry_after(ray_server: RayServer) -> None:
    requests = [ImageRequest(PATHS[1], n % 32) for n in range(250)]
    exchanges = asyncio.run(send_all(ray_server.url, requests))
    assert statuses(exchanges) == {200, 429}
    for exchange in exchanges:
        assert isinstance(exchange.response, httpx.Response)
        assert exchange.response.headers.get_list("x-request-id") == [exchange.request.id]
        if exchange.status == 429:
            assert int(exchange.response.headers["retry-after"]) >= 1
            assert exchange.response.headers["content-type"] == "application/problem+json"


def test_a_killed_replica_loses_no_later_request(ray_server: RayServer) -> None:
    before = ray_server.replicas()
    killed = min(before)
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: killed not in ray_server.replicas())
    assert statuses(send_in_turn(ray_server.url, 40)) == {200}
    wait_until(lambda: len(ray_server.replicas()) == len(before), limit_s=120)
    assert statuses(send_in_turn(ray_server.url, 10)) == {200}


def test_a_broken_bundle_fails_the_deployment_with_the_reason(
    ray_server: RayServer, broken_bundle: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DEPLOY, broken_bundle],
        env=ray_server.client_environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 3, done.stderr
    assert "is not the file that model.json describes" in done.stdout
    assert statuses(send_in_turn(ray_server.url, 4)) == {200}  # the other application


def test_serve_run_serves_beside_another_application(ray_server: RayServer, cat: Path) -> None:
    serve = str(Path(sys.executable).with_name("serve"))
    names = ["--address", ray_server.ray_address, "--name", "second", "--route-prefix", "/second"]
    environment = ray_server.client_environment | {"LRPSERVE_ROOT_PATH": "/second"}
    command = [serve, "run", *names, "service.ray:build", "num_cpus=0.1"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        url = f"{ray_server.url}/second"
        try:  # the proxy keeps requests while the first replica is loading
            wait_until(lambda: httpx.get(f"{url}/readyz", timeout=60).status_code == 200)
            response = httpx.post(f"{url}/predict", content=cat.read_bytes(), headers=RAW)
        finally:
            process.kill()  # at SIGINT it would shut down all applications of the cluster
    assert response.json()["predictions"][0]["label"] == "cat"
    subprocess.run([sys.executable, "-c", DELETE], env=environment, check=True, timeout=60)
    wait_until(lambda: httpx.get(f"{url}/readyz").status_code == 404)
    assert statuses(send_in_turn(ray_server.url, 4)) == {200}
