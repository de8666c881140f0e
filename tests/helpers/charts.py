"""The Helm chart: rendered with Helm's own library, its objects validated against Kubernetes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml
from helm_python import Chart, values_from_yaml

from service.settings import PREFIX, Settings, load_settings

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "lrpserve"
KSERVE = ROOT / "deploy" / "kserve"
RELEASE, NAMESPACE = "demo", "prod"
OLDEST, NEWEST = "1.25", "1.37"
CUSTOM_KINDS = {"ServiceMonitor", "ScaledObject"}  # Kubernetes itself does not know them

Manifest = dict[str, Any]


def read_values(name: str) -> Manifest:
    """The values in a file of the chart, such as `values-gpu.yaml`, as `helm -f` reads them."""
    return values_from_yaml((CHART / name).read_text(encoding="utf-8"))


def render(values: Mapping[str, Any] | None = None, chart: Path = CHART) -> list[Manifest]:
    """Check values against the schema, and render every object of the chart."""
    given = dict(values or {})
    with Chart.load(chart) as loaded:
        loaded.validate_schema(given)
        files = loaded.render(given, name=RELEASE, namespace=NAMESPACE)
    return [
        manifest
        for name, text in files.items()
        if not name.endswith(".txt")
        for manifest in yaml.safe_load_all(text)
        if manifest
    ]


def render_kind(kind: str, values: Mapping[str, Any] | None = None) -> Manifest:
    """The only object of a kind."""
    (manifest,) = (one for one in render(values) if one["kind"] == kind)
    return manifest


def pod_of(deployment: Manifest) -> Manifest:
    """The pod's specification in a Deployment."""
    return dict(deployment["spec"]["template"]["spec"])


def container_of(deployment: Manifest) -> Manifest:
    """The only container, without init containers."""
    (container,) = pod_of(deployment)["containers"]
    return dict(container)


def environment_of(container: Manifest) -> dict[str, str]:
    """The variables whose values are in the manifest."""
    return {one["name"]: one["value"] for one in container["env"] if "value" in one}


def settings_of(container: Manifest) -> Settings:
    """The settings that a container gives the service."""
    given = environment_of(container)
    return load_settings(
        **{
            name.removeprefix(PREFIX).lower(): text
            for name, text in given.items()
            if name.startswith(PREFIX)
        }
    )


def validate(manifest: Manifest, version: str) -> None:
    """Validate an object strictly: no unknown field.

    Raises
    ------
    kubernetes_validate.ValidationError
        The object is wrong.
    kubernetes_validate.SchemaNotFoundError
        There is no such kind; the command `kubernetes-validate` only warns, and exits with 0.
    """
    assert kubernetes_validate.validate(manifest, version, strict=True) == version


def read_manifests(path: Path) -> Iterator[Manifest]:
    """The documents of a YAML file."""
    yield from yaml.safe_load_all(path.read_text(encoding="utf-8"))
