"""TLS: a real server with certificates, which are replaced, broken, and never read by clients."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Coroutine, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import serialization

from lrpserve_client import Client
from service.server.tls import CertificateFiles, TLSError
from tests.helpers.authority import Authority
from tests.helpers.conditions import wait_until
from tests.helpers.connections import head, plain
from tests.helpers.requests import find_metric
from tests.helpers.servers import (
    RunningServer,
    assert_one_sentence,
    run_to_the_end,
    running_server,
)

pytestmark = pytest.mark.alone

RECEIVE_S = 6.0
GET = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
ROOT = Path(__file__).parents[2]
KEPT = "the certificate stays that of before"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def secure(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority
) -> Iterator[RunningServer]:
    """A server with TLS, two workers and little patience."""
    settings = {
        **authority.settings,
        "LRPSERVE_WORKERS": "2",
        "LRPSERVE_RECEIVE_S": str(RECEIVE_S),
    }
    folder = tmp_path_factory.mktemp("secure")
    with running_server(folder, settings, trust=authority.trust) as server:
        yield server


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scenario, 60))


# --- Certificates


def test_requests_are_served_and_the_server_says_its_address(
    secure: RunningServer, authority: Authority, cat: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert secure.url.startswith("https://")
    assert f"{secure.url}/explain" in secure.read_output()
    page = httpx.get(secure.url, headers={"Accept": "text/html"}, verify=authority.trust)
    assert page.status_code == 200
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    with Client(secure.url) as client:
        assert client.explain(cat).heatmap


def test_a_new_certificate_is_for_new_connections_and_no_request_fails(
    secure: RunningServer, authority: Authority
) -> None:
    statuses, is_over = [], threading.Event()

    def send() -> None:
        while not is_over.is_set():
            statuses.append(httpx.get(f"{secure.url}/models", verify=authority.trust).status_code)

    with httpx.Client(base_url=secure.url, verify=authority.trust) as before:
        before.get("/healthz")
        old, n_lines = authority.certificate.read_text(), secure.read_output().count("read again")
        threads = [threading.Thread(target=send) for _ in range(2)]
        for thread in threads:
            thread.start()
        authority.issue()
        wait_until(lambda: secure.read_output().count("read again") == n_lines + 2)
        assert all(authority.serves(secure.url) for _ in range(20))  # in both workers
        is_over.set()
        for thread in threads:
            thread.join()
        stream = before.get("/healthz").extensions["network_stream"]
        pem = ssl.DER_cert_to_PEM_cert(stream.get_extra_info("ssl_object").getpeercert(True))
        assert old.startswith(pem)  # its connection has gone on
    assert set(statuses) == {200}


def test_the_check_of_the_container_knows_tls(secure: RunningServer, server: RunningServer) -> None:
    for running, settings, status in (
        (secure, {"LRPSERVE_TLS_CERT": "/tls/tls.crt"}, 0),
        (secure, {}, 1),
        (server, {}, 0),
    ):
        port = running.url.rpartition(":")[2]
        command = [sys.executable, "-m", "service.healthcheck", port]
        assert subprocess.call(command, env={**os.environ, **settings}, cwd=ROOT) == status


@pytest.mark.parametrize("broken", ["garbage", "another key", "no file"])
def test_a_replacement_that_cannot_be_used_changes_nothing(
    secure: RunningServer, authority: Authority, broken: str, tmp_path: Path
) -> None:
    assert authority.serves(secure.url)
    key, n_kept = authority.key.read_bytes(), secure.read_output().count(KEPT)
    if broken == "no file":
        authority.key.unlink()
    elif broken == "garbage":
        authority.replace(authority.key, b"no key")
    else:
        authority.replace(authority.key, Authority(tmp_path).key.read_bytes())
    wait_until(lambda: secure.read_output().count(KEPT) == n_kept + 2)
    assert all(authority.serves(secure.url) for _ in range(10))
    n_read = secure.read_output().count("read again")
    authority.replace(authority.key, key)
    wait_until(lambda: secure.read_output().count("read again") == n_read + 2)
    assert authority.serves(secure.url)


@pytest.mark.parametrize(
    ("certificate", "key", "said"),
    [
        ("tls.crt", "absent", "absent cannot be read (No such file or directory)"),
        ("empty", "tls.key", "empty holds no certificate in PEM format: set LRPSERVE_TLS_CERT"),
        ("tls.key", "tls.key", "tls.key holds no certificate in PEM format"),
        ("tls.crt", "tls.crt", "tls.crt holds no key in PEM format: set LRPSERVE_TLS_KEY to the"),
        ("tls.crt", "empty", "empty holds no key in PEM format"),
        ("tls.crt", "cut", "cannot be used"),
        ("tls.crt", "other/tls.key", "does not belong to the certificate"),
        ("tls.crt", "encrypted", "is encrypted: set LRPSERVE_TLS_KEY_PASSWORD"),
    ],
)
def test_files_that_cannot_be_used_are_named(
    tmp_path: Path, certificate: str, key: str, said: str
) -> None:
    write_files(tmp_path)
    with pytest.raises(TLSError) as raised:
        CertificateFiles(tmp_path / certificate, tmp_path / key).load()
    assert said in raised.value.detail


def write_files(folder: Path) -> None:
    """A certificate with its key, plain, encrypted and cut; an empty file; and another key."""
    (folder / "other").mkdir()
    Authority(folder / "other")
    key = serialization.load_pem_private_key(Authority(folder).key.read_bytes(), None)
    encrypted = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    (folder / "encrypted").write_bytes(encrypted)
    (folder / "cut").write_bytes(encrypted[:-100])
    (folder / "empty").write_bytes(b"")


def test_an_encrypted_key_needs_its_password(tmp_path: Path) -> None:
    write_files(tmp_path)
    files = tmp_path / "tls.crt", tmp_path / "encrypted"
    assert CertificateFiles(*files, "secret").load().get_ca_certs() == []
    with pytest.raises(TLSError, match="LRPSERVE_TLS_KEY_PASSWORD is wrong"):
        CertificateFiles(*files, "wrong").load()


def test_a_certificate_and_its_key_may_be_one_file(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    both = tmp_path / "both.pem"
    both.write_bytes(authority.key.read_bytes() + authority.certificate.read_bytes())
    context = CertificateFiles(both, both).load()
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_a_wrong_certificate_ends_the_start_with_one_sentence(tmp_path: Path) -> None:
    settings = {"LRPSERVE_TLS_CERT": str(tmp_path / "absent"), "LRPSERVE_WORKERS": "2"}
    assert_one_sentence(run_to_the_end(settings), "absent cannot be read")


# --- Clients that are slow, leave, or speak something else


def test_what_is_no_tls_is_closed_without_a_traceback(secure: RunningServer) -> None:
    host, port = secure.url.removeprefix("https://").split(":")
    with ExitStack() as stack:  # at once: each has RECEIVE_S seconds
        connections = []
        for sent in (GET, b"\x16\x03\x01\x02\x00\x01\x00", b"\x00" * 5000, b""):
            connection = socket.create_connection((host, int(port)), timeout=10 * RECEIVE_S)
            connections.append(stack.enter_context(connection))
            connection.sendall(sent)
        for connection in connections:
            with suppress(ConnectionResetError):
                while connection.recv(1000):  # an alert, perhaps
                    pass
    assert "Traceback" not in secure.read_output()


def test_a_slow_head_gets_a_408(secure: RunningServer, authority: Authority) -> None:
    async def scenario() -> None:
        async with plain(secure.url, authority.trust) as connection:
            await connection.send(GET[:-2])
            assert (await connection.answer()).status_code == 408

    run(scenario())


def test_a_client_that_still_sends_can_read_the_response(
    secure: RunningServer, authority: Authority
) -> None:
    async def scenario() -> None:
        async with plain(secure.url, authority.trust) as connection:
            await connection.send(head("/explain", 1 << 30))
            sending = asyncio.create_task(keep_sending(connection))
            assert (await connection.answer()).status_code == 413
            with suppress(ConnectionError):
                await connection.rest()  # and then it is closed
            await sending
            assert "NotImplementedError" not in secure.read_output()

    async def keep_sending(connection: Any) -> None:
        with suppress(ConnectionError):
            while True:
                await connection.send(bytes(1 << 16))

    run(scenario())


def test_pipelined_requests_get_their_responses_in_order(
    secure: RunningServer, authority: Authority, cat: Path
) -> None:
    image = cat.read_bytes()

    async def scenario() -> None:
        async with plain(secure.url, authority.trust) as connection:
            await connection.send(head("/explain", len(image)) + image + GET * 20)
            first, *others = [await connection.answer() for _ in range(21)]
            assert "heatmap" in first.json()
            assert all(answer.json() == {"status": "ok"} for answer in others)

    run(scenario())


# over TLS, 64 KiB and the 256 KiB that asyncio decrypts ahead are read, and no more
@pytest.mark.parametrize(
    "behind", [b"", GET * 5000, GET * 15_000], ids=["alone", "pipelined", "unread"]
)
def test_a_client_that_leaves_cancels_its_job(
    secure: RunningServer, authority: Authority, cat: Path, behind: bytes
) -> None:
    name = 'lrpserve_jobs_total{outcome="cancelled"}'

    def n_cancelled() -> float:
        text = httpx.get(f"{secure.url}/metrics", verify=authority.trust).text
        return find_metric(text, name)

    async def scenario() -> None:
        async with plain(secure.url, authority.trust) as connection:
            connection.writer.write(slow_request(cat) + behind)
            await asyncio.sleep(0.02)  # or it is left unsent

    before = n_cancelled()
    run(scenario())
    wait_until(lambda: n_cancelled() > before)


def slow_request(image: Path) -> bytes:
    """A request that takes longer than leaving may go unnoticed."""
    encoded = base64.b64encode(image.read_bytes()).decode()
    options = {"attributor": "smooth_grad", "n_samples": 128, "targets": list(range(10))}
    body = json.dumps(options | {"image": encoded}).encode()
    return head("/explain", len(body)).replace(b"image/png", b"application/json") + body


def test_a_client_that_reads_nothing_is_disconnected(
    secure: RunningServer, authority: Authority, cat: Path
) -> None:
    host, port = secure.url.removeprefix("https://").split(":")
    request = b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n"
    with socket.create_connection((host, int(port)), timeout=10 * RECEIVE_S) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        secured = authority.trust.wrap_socket(connection, server_hostname=host)
        with secured, pytest.raises((ConnectionError, ssl.SSLError)):
            send_for_ever(secured, request)


def send_for_ever(connection: ssl.SSLSocket, request: bytes) -> None:
    while True:
        connection.sendall(request)
