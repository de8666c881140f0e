"""The addresses that a server listens on: IPv4, IPv6, names, and unix sockets."""

from __future__ import annotations

import json
import socket
import subprocess
from pathlib import Path

import httpx
import pytest

from service.server.listen import ListenError, listen, url_of
from service.settings import PREFIX
from tests.helpers.conditions import LIMIT_S, wait_until
from tests.helpers.servers import COMMAND, run_to_the_end, started_server
from tests.helpers.tools import cannot_run, find_tool


@pytest.fixture
def ipv6() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        cannot_run("this machine has no IPv6")


@pytest.fixture
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("s") / "lrp.sock"  # its path may have 107 bytes


def connects(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=LIMIT_S).close()
    except ConnectionRefusedError:
        return False
    return True


@pytest.mark.usefixtures("ipv6")
@pytest.mark.parametrize(
    ("host", "is_ipv4", "is_ipv6"),
    [
        ("::", True, True),
        ("::1", False, True),
        ("127.0.0.1", True, False),
        ("0.0.0.0", True, False),
    ],
)
def test_what_an_address_listens_on(host: str, is_ipv4: bool, is_ipv6: bool) -> None:
    with listen(host, 0) as listeners:
        port = listeners[0].getsockname()[1]
        assert (connects("127.0.0.1", port), connects("::1", port)) == (is_ipv4, is_ipv6)
        assert url_of(listeners) == f"http://{f'[{host}]' if ':' in host else host}:{port}"


@pytest.mark.usefixtures("ipv6")
def test_a_name_listens_on_all_its_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 0, 0, 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **options: found)
    with listen("both", 0) as listeners:
        ports = {listener.getsockname()[1] for listener in listeners}
    assert (len(listeners), len(ports)) == (2, 1)


def test_an_address_of_another_machine_is_an_error() -> None:
    with pytest.raises(ListenError, match=r"192\.0\.2\.1:80"), listen("192.0.2.1", 80):
        pass


@pytest.mark.parametrize("name", ["a" * 64, "a" * 300, "é" * 70, "a..example"])
def test_a_name_that_cannot_be_one_is_an_error(name: str) -> None:
    with pytest.raises(ListenError, match="cannot listen on"), listen(name, 0):
        pass


def test_a_unix_socket_is_for_owner_and_group_and_is_removed(file: Path) -> None:
    with listen(f"unix:{file}", 8000) as listeners:
        assert file.stat().st_mode & 0o777 == 0o660
        assert url_of(listeners) == f"unix:{file}"
    assert not file.exists()


def test_a_stale_socket_is_replaced_and_one_in_use_is_not(file: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(file))
    with listen(f"unix:{file}", 0):
        with pytest.raises(ListenError, match="another process listens"), listen(f"unix:{file}", 0):
            pass
        assert file.exists()


def test_a_file_that_is_no_socket_is_kept(file: Path) -> None:
    file.write_text("mine")
    done = run_to_the_end({}, "--host", f"unix:{file}")
    assert done.returncode == 2
    assert f"error: {file} is a file, and no socket" in done.stderr
    assert file.read_text() == "mine"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_service_on_a_unix_socket(tmp_path: Path, file: Path, cat: Path, workers: str) -> None:
    command = (*COMMAND, "--host", f"unix:{file}")
    with started_server(tmp_path, {f"{PREFIX}WORKERS": workers}, command) as server:
        assert server.url == f"unix:{file}"
        wait_until(lambda: "docs: " in server.read_output())
        line = server.read_output().split("try:")[1].splitlines()[0].strip()
        assert line.startswith(f"curl --unix-socket {file} -F")
        find_tool("curl")
        printed = line.replace("cat.jpg", str(cat)).split()
        done = subprocess.run([*printed, "-sf"], capture_output=True, check=True, timeout=LIMIT_S)
        assert json.loads(done.stdout)["heatmap"]
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(file))) as client:
            assert client.get("http://localhost/readyz").status_code == 200
        assert server.stop() == 0
    assert not file.exists()
