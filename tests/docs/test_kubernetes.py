"""The manifests in `docs/how-to/kubernetes.md` fit the container and the service."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from service.app import create_app
from service.settings import PREFIX, Settings
from tests.docs.markdown import ROOT, blocks


@pytest.fixture(scope="module")
def manifests() -> dict[str, Any]:
    """Both objects of the page, by kind."""
    page = ROOT / "docs" / "how-to" / "kubernetes.md"
    (block,) = [block for block in blocks(page) if block.language == "yaml"]
    return {manifest["kind"]: manifest for manifest in yaml.safe_load_all(block.text)}


@pytest.fixture(scope="module")
def container(manifests: dict[str, Any]) -> dict[str, Any]:
    (found,) = manifests["Deployment"]["spec"]["template"]["spec"]["containers"]
    return dict(found)


def test_the_service_selects_the_pods(manifests: dict[str, Any]) -> None:
    labels = manifests["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert manifests["Deployment"]["spec"]["selector"]["matchLabels"] == labels
    assert manifests["Service"]["spec"]["selector"] == labels


def test_the_port_and_the_user_are_those_of_the_image(
    manifests: dict[str, Any], container: dict[str, Any]
) -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    user = manifests["Deployment"]["spec"]["template"]["spec"]["securityContext"]["runAsUser"]
    assert f"EXPOSE {container['ports'][0]['containerPort']}\n" in dockerfile
    assert f"USER {user}:" in dockerfile


def test_the_probes_ask_paths_that_the_service_has(container: dict[str, Any]) -> None:
    paths = create_app(Settings.model_construct()).openapi()["paths"]
    probed = {
        probe: container[probe]["httpGet"]["path"]
        for probe in ("startupProbe", "readinessProbe", "livenessProbe")
    }
    assert probed == {
        "startupProbe": "/readyz",
        "readinessProbe": "/readyz",
        "livenessProbe": "/healthz",
    }
    assert set(probed.values()) <= set(paths)


def test_a_pod_may_finish_what_it_accepted(
    manifests: dict[str, Any], container: dict[str, Any]
) -> None:
    given = {
        variable["name"].removeprefix(PREFIX).lower(): variable["value"]
        for variable in container["env"]
    }
    assert set(given) <= set(Settings.model_fields)
    settings = Settings(**given)
    pod = manifests["Deployment"]["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > settings.grace_s + settings.deadline_s
