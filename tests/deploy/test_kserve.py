"""The manifests for KServe fit the image, the service and one another."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import kubernetes_validate
import pytest

from service.settings import load_settings
from tests.helpers.charts import (
    KSERVE,
    NEWEST,
    OLDEST,
    ROOT,
    Manifest,
    container_of,
    environment_of,
    read_manifests,
    render_kind,
    settings_of,
    validate,
)

SERVICES = sorted(KSERVE.glob("inferenceservice*.yaml"))
GPU = KSERVE / "inferenceservice-gpu-keda.yaml"


@pytest.fixture
def runtime() -> Manifest:
    (manifest,) = read_manifests(KSERVE / "clusterservingruntime.yaml")
    return manifest


@pytest.fixture
def container(runtime: Manifest) -> Manifest:
    (container,) = runtime["spec"]["containers"]
    return dict(container)


def predictor_of(path: Path) -> Manifest:
    (manifest,) = read_manifests(path)
    return dict(manifest["spec"]["predictor"])


def pod(runtime: Manifest) -> Manifest:
    """A pod as KServe makes it: what Kubernetes thinks of its parts can be checked here."""
    spec = {key: copy.deepcopy(runtime["spec"][key]) for key in ("containers", "volumes")}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "horses"}, "spec": spec}


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_kubernetes_takes_the_pod_of_the_runtime(runtime: Manifest, version: str) -> None:
    validate(pod(runtime), version)


@pytest.mark.parametrize(
    "change",
    [
        lambda container: container["securityContext"].update(readOnlyRootFileSystem=True),
        lambda container: container["readinessProbe"].update(httpget={}),
        lambda container: container.update(args="serve"),
        lambda container: container["env"].append({"name": "A", "value": 1}),
    ],
    ids=["security", "probe", "args", "env"],
)
def test_a_broken_pod_is_refused(runtime: Manifest, change: Callable[[Manifest], None]) -> None:
    broken = pod(runtime)
    change(broken["spec"]["containers"][0])
    with pytest.raises(kubernetes_validate.ValidationError):
        validate(broken, NEWEST)


def test_the_runtime_is_as_hardened_as_the_chart(container: Manifest) -> None:
    of_chart = container_of(render_kind("Deployment"))["securityContext"]
    pod_wide = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert container["securityContext"] == of_chart | pod_wide
    assert container["volumeMounts"] == [{"name": "tmp", "mountPath": "/tmp"}]
    assert container["resources"] == container_of(render_kind("Deployment"))["resources"]


def test_the_model_has_the_name_that_clients_ask_for(container: Manifest) -> None:
    settings = environment_of(container)
    assert settings["LRPSERVE_MODEL_NAME"] == "{{.Name}}"  # KServe puts the service's name there
    for path in SERVICES:
        (manifest,) = read_manifests(path)
        name = manifest["metadata"]["name"]
        given = {"model": settings["LRPSERVE_MODEL"], "model_name": name}
        assert load_settings(**given).model == "/mnt/models"
        assert "." not in name  # KServe would route no explanation to it


def test_probes_ask_the_port_that_the_command_listens_on(container: Manifest) -> None:
    port = int(container["args"][container["args"].index("--port") + 1])
    assert container["ports"][0]["containerPort"] == port
    probes = [container[name]["httpGet"] for name in ("readinessProbe", "livenessProbe")]
    assert probes == [{"path": "/readyz", "port": port}, {"path": "/healthz", "port": port}]
    assert '"lrpserve", "serve", "--host", "0.0.0.0", "--port"' in (ROOT / "Dockerfile").read_text()


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.stem)
def test_services_ask_for_the_runtime_and_leave_time_to_end(
    path: Path, runtime: Manifest, container: Manifest
) -> None:
    predictor = predictor_of(path)
    model = predictor["model"]
    (format_,) = runtime["spec"]["supportedModelFormats"]
    assert model["modelFormat"]["name"] == format_["name"]
    assert model.get("protocolVersion", "v1") in runtime["spec"]["protocolVersions"]
    settings = settings_of({"env": [one for one in container["env"] if "{{" not in one["value"]]})
    assert predictor["terminationGracePeriodSeconds"] > settings.grace_s + settings.deadline_s


def test_the_queue_decides_on_the_number_of_gpus() -> None:
    predictor = predictor_of(GPU)
    (metric,) = predictor["autoScaling"]["metrics"]
    assert "lrpserve_queue_depth" in metric["external"]["metric"]["query"]
    assert predictor["minReplicas"] == 1
    assert predictor["model"]["env"] == [{"name": "LRPSERVE_DEVICE", "value": "cuda"}]
