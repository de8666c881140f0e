"""The chart's pods: hardened, with probes that the service answers and time for every request."""

from __future__ import annotations

import math
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.app import create_app
from service.server.watchdog import EndLimits
from service.settings import Settings
from tests.helpers.charts import (
    NAMESPACE,
    ROOT,
    Manifest,
    container_of,
    environment_of,
    pod_of,
    read_values,
    render,
    render_kind,
    settings_of,
)
from tests.helpers.conditions import wait_until
from tests.helpers.servers import copy_bundle, running_server

STORAGE: Manifest = {
    "from": "storage",
    "name": "horses",
    "storage": {"uri": "s3://bucket/horses", "env": [{"name": "AWS_REGION", "value": "eu"}]},
}
INIT: Manifest = {
    "from": "initContainer",
    "default": "mine",
    "initContainer": {"image": "bundles:1", "command": ["cp"], "args": ["-r", "/in/.", "/models"]},
}
VOLUME: Manifest = {
    "from": "volume",
    "default": "mine",
    "volume": {"persistentVolumeClaim": {"claimName": "models", "readOnly": True}},
}
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")


def deployment(**values: Any) -> Manifest:
    return render_kind("Deployment", values)


def mounts_of(container: Manifest) -> dict[str, bool]:
    """The folders that are mounted, and whether each is read-only."""
    return {one["mountPath"]: one.get("readOnly", False) for one in container["volumeMounts"]}


@pytest.mark.parametrize("models", [{}, STORAGE, INIT, VOLUME], ids=["image", "s3", "init", "pvc"])
def test_every_container_is_hardened(models: Manifest) -> None:
    pods = [pod_of(deployment(models=models)), render_kind("Pod", {"models": models})["spec"]]
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            assert container["securityContext"] == {
                "readOnlyRootFilesystem": True,
                "allowPrivilegeEscalation": False,
                "privileged": False,
                "capabilities": {"drop": ["ALL"]},
            }


def test_what_is_hardened_cannot_be_turned_off_and_users_can_be_left_to_the_cluster() -> None:
    wanted = {"runAsNonRoot": False, "runAsUser": None, "runAsGroup": None, "fsGroup": None}
    context = pod_of(deployment(podSecurityContext=wanted))["securityContext"]
    assert context == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


def test_user_and_port_are_those_of_the_image() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    rendered = deployment()
    security = pod_of(rendered)["securityContext"]
    (port,) = container_of(rendered)["ports"]
    assert f"USER {security['runAsUser']}:{security['runAsGroup']}\n" in dockerfile
    assert f"EXPOSE {port['containerPort']}\n" in dockerfile
    assert f'"--port", "{port["containerPort"]}"]' in dockerfile


def test_probes_ask_what_the_service_has() -> None:
    paths = create_app(Settings.model_construct()).openapi()["paths"]
    container = container_of(deployment())
    asked = {probe: container[probe]["httpGet"]["path"] for probe in PROBES}
    assert asked == dict(zip(PROBES, ("/readyz", "/readyz", "/healthz"), strict=True))
    assert set(asked.values()) <= set(paths)


def test_a_certificate_turns_on_tls_for_the_service_and_its_probes() -> None:
    values = {"tls": {"secret": "certificate"}, "serviceMonitor": {"enabled": True}}
    rendered = deployment(**values)
    container = container_of(rendered)
    assert {container[probe]["httpGet"]["scheme"] for probe in PROBES} == {"HTTPS"}
    assert mounts_of(container) == {"/tmp": False, "/tls": True}
    secret = {"name": "tls", "secret": {"secretName": "certificate"}}
    assert secret in pod_of(rendered)["volumes"]
    settings = settings_of(container)
    assert settings.tls_cert == Path("/tls/tls.crt")
    assert settings.tls_key == Path("/tls/tls.key")
    (port,) = render_kind("Service", values)["spec"]["ports"]
    (endpoint,) = render_kind("ServiceMonitor", values)["spec"]["endpoints"]
    assert port["name"] == endpoint["port"] == endpoint["scheme"] == "https"


def test_without_a_certificate_all_is_http() -> None:
    container = container_of(deployment())
    assert {container[probe]["httpGet"]["scheme"] for probe in PROBES} == {"HTTP"}


def test_the_port_of_grpc_is_opened_where_it_is_set() -> None:
    values = {"settings": {"grpc_port": 9000}, "networkPolicy": {"enabled": True}}
    ports = container_of(deployment(**values))["ports"]
    assert {one["name"]: one["containerPort"] for one in ports} == {"http": 8000, "grpc": 9000}
    served = {one["name"]: one["port"] for one in render_kind("Service", values)["spec"]["ports"]}
    assert served == {"http": 80, "grpc": 9000}
    (rule,) = render_kind("NetworkPolicy", values)["spec"]["ingress"]
    assert [one["port"] for one in rule["ports"]] == ["http", "grpc"]
    assert "grpc" not in str(deployment())


@pytest.mark.parametrize(
    "settings", [{}, {"grace_s": 0}, {"grace_s": 20.5, "deadline_s": 120}], ids=str
)
def test_a_pod_is_killed_after_the_process_would_have_ended_itself(settings: Manifest) -> None:
    rendered = deployment(settings=settings)
    read = settings_of(container_of(rendered))
    ends_after_s = pod_of(rendered)["terminationGracePeriodSeconds"]
    assert EndLimits(read).is_over(ends_after_s, math.inf)
    assert ends_after_s > read.grace_s + read.deadline_s


def test_more_time_to_end_is_taken_as_it_is() -> None:
    rendered = deployment(terminationGracePeriodSeconds=600)
    assert pod_of(rendered)["terminationGracePeriodSeconds"] == 600


def test_variables_of_services_do_not_reach_the_settings() -> None:
    for pod in (pod_of(deployment()), render_kind("Pod")["spec"]):
        assert pod["enableServiceLinks"] is False


# --- models


def test_models_of_the_image_need_no_volume() -> None:
    rendered = deployment()
    assert mounts_of(container_of(rendered)) == {"/tmp": False}
    assert "initContainers" not in pod_of(rendered)
    assert not any(
        name.startswith("LRPSERVE_MODEL") for name in environment_of(container_of(rendered))
    )


def test_models_of_a_volume() -> None:
    rendered = deployment(models=VOLUME)
    assert mounts_of(container_of(rendered)) == {"/tmp": False, "/models": True}
    assert {"name": "models", **VOLUME["volume"]} in pod_of(rendered)["volumes"]
    environment = environment_of(container_of(rendered))
    assert (environment["LRPSERVE_MODELS"], environment["LRPSERVE_MODEL"]) == ("/models", "mine")


def test_models_of_an_init_container() -> None:
    rendered = deployment(models=INIT)
    (init,) = pod_of(rendered)["initContainers"]
    assert {key: init[key] for key in INIT["initContainer"]} == INIT["initContainer"]
    assert mounts_of(init) == {"/tmp": False, "/models": False}
    assert mounts_of(container_of(rendered)) == {"/tmp": False, "/models": True}
    assert {"name": "models", "emptyDir": {"sizeLimit": "4Gi"}} in pod_of(rendered)["volumes"]


def test_a_model_of_a_storage_initializer() -> None:
    rendered = deployment(models=STORAGE)
    (init,) = pod_of(rendered)["initContainers"]
    assert init["args"] == ["s3://bucket/horses", "/mnt/models"]
    assert environment_of(init)["AWS_REGION"] == "eu"
    assert mounts_of(container_of(rendered)) == {"/tmp": False, "/mnt/models": True}
    environment = environment_of(container_of(rendered))
    assert environment["LRPSERVE_MODEL"] == "/mnt/models"
    assert environment["LRPSERVE_MODEL_NAME"] == "horses"


def test_api_keys_come_from_a_secret() -> None:
    (given,) = (
        one
        for one in container_of(deployment(apiKeys={"secret": "keys"}))["env"]
        if one["name"] == "LRPSERVE_API_KEYS"
    )
    assert given["valueFrom"] == {"secretKeyRef": {"name": "keys", "key": "api-keys"}}


# --- numbers of pods


def test_an_autoscaler_has_the_number_of_pods_to_itself() -> None:
    assert deployment()["spec"]["replicas"] == 2
    for kind in ("hpa", "keda"):
        assert "replicas" not in deployment(autoscaling={"type": kind})["spec"]


def test_keda_asks_for_a_metric_that_the_service_has() -> None:
    values = read_values("values-keda.yaml")
    rendered = render_kind("ScaledObject", values)
    (trigger,) = rendered["spec"]["triggers"]
    name = rendered["metadata"]["name"]
    asked = f'sum(lrpserve_queue_depth{{namespace="{NAMESPACE}",service="{name}"}})'
    assert trigger["metadata"]["query"] == asked
    assert (
        rendered["spec"]["scaleTargetRef"]["name"] == render_kind("Deployment")["metadata"]["name"]
    )
    app = create_app(Settings.model_construct())
    text, _ = app.state.lrpserve.metrics.exposition("")
    assert b"\nlrpserve_queue_depth " in text


def test_a_gpu_is_asked_for_and_a_new_pod_waits_for_it() -> None:
    values = read_values("values-gpu.yaml")
    rendered = render_kind("Deployment", values)
    container = container_of(rendered)
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert environment_of(container)["LRPSERVE_DEVICE"] == "cuda"
    assert rendered["spec"]["strategy"]["rollingUpdate"]["maxSurge"] == 0


# --- a real process with a pod's variables


def test_a_process_with_the_variables_of_a_pod_answers_its_probes_and_ends_in_time(
    tmp_path: Path, cat: Path
) -> None:
    bundle = copy_bundle(tmp_path / "models")
    rendered = deployment(models=STORAGE, settings={"grace_s": 1})
    container = container_of(rendered)
    environment = environment_of(container) | {"LRPSERVE_MODEL": str(bundle)}
    with running_server(tmp_path, environment) as server:
        for probe in PROBES:
            assert httpx.get(server.url + container[probe]["httpGet"]["path"]).status_code == 200
        explained = httpx.post(f"{server.url}/explain", files={"image": cat.read_bytes()})
        assert explained.json()["model"] == "horses"
        assert run_helm_test(server.url) == 0

        server.process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        ready = container["readinessProbe"]["httpGet"]["path"]
        wait_until(lambda: httpx.get(server.url + ready).status_code == 503)
        assert run_helm_test(server.url) == 1
        assert server.process.wait(pod_of(rendered)["terminationGracePeriodSeconds"]) == 0
        assert time.monotonic() - began >= 1


def run_helm_test(url: str) -> int:
    """Run the command of the pod that `helm test` makes, with another address."""
    (container,) = render_kind("Pod")["spec"]["containers"]
    assert container["command"] == ["python", "-c"]
    (program,) = container["args"]
    assert '"http://demo-lrpserve:80' in program
    program = program.replace("http://demo-lrpserve:80", url)
    return subprocess.run([sys.executable, "-c", program], check=False).returncode


def test_no_object_is_rendered_twice() -> None:
    names = [(one["kind"], one["metadata"]["name"]) for one in render()]
    assert len(set(names)) == len(names)
