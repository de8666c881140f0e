"""`lrpserve ray` with a Ray of its own for each test: TLS, and a bundle that is broken."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.ecosystem.ray.conftest import ONE_REPLICA, ray_folder, ray_settings, running_ray
from tests.helpers.authority import Authority

pytestmark = [pytest.mark.ecosystem, pytest.mark.timeout(300)]


def test_tls_ends_at_the_proxy_of_ray(tmp_path: Path, cat: Path) -> None:
    authority = Authority(tmp_path)
    with ray_folder() as folder:
        settings = {**ray_settings(folder), **authority.settings}
        with running_ray(folder, settings, ONE_REPLICA, authority.trust) as server:
            assert authority.serves(server.url)
            response = httpx.post(
                f"{server.url}/predict",
                content=cat.read_bytes(),
                headers={"Content-Type": "image/jpeg"},
                verify=authority.trust,
                timeout=60,
            )
            assert response.json()["predictions"][0]["label"] == "cat"
            with pytest.raises(httpx.TransportError):
                httpx.get(server.url.replace("https:", "http:") + "/readyz")


def test_a_broken_bundle_is_the_error_of_the_command(broken_bundle: Path) -> None:
    with ray_folder() as folder:
        done = subprocess.run(
            [*ONE_REPLICA, "--model", broken_bundle],
            env={**os.environ, **ray_settings(folder)},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    assert done.returncode == 2
    (said,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "is not the file that model.json describes" in said
