"""The chart passes Helm's linter, and Kubernetes takes every object that it renders."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import helm_python
import kubernetes_validate
import pytest
import yaml
from helm_python import Chart

import service
from tests.helpers.charts import (
    CHART,
    CUSTOM_KINDS,
    NEWEST,
    OLDEST,
    Manifest,
    read_values,
    render,
    validate,
)

STANDARD = {"Deployment", "Service", "ServiceAccount", "PodDisruptionBudget", "Pod"}
EVERYTHING: Manifest = {
    "imagePullSecrets": [{"name": "registry"}],
    "settings": {"max_body_bytes": 10_000_000},
    "env": [{"name": "OTEL_SERVICE_NAME", "value": "lrp"}],
    "envFrom": [{"configMapRef": {"name": "more"}}],
    "models": {"from": "storage", "name": "horses", "storage": {"uri": "s3://bucket/horses"}},
    "apiKeys": {"secret": "keys"},
    "tls": {"secret": "certificate"},
    "service": {"annotations": {"a.example/b": "c"}},
    "ingress": {
        "enabled": True,
        "className": "nginx",
        "annotations": {"nginx.ingress.kubernetes.io/proxy-body-size": "10m"},
        "tls": [{"secretName": "certificate", "hosts": ["lrp.example"]}],
    },
    "autoscaling": {"type": "hpa"},
    "serviceMonitor": {"enabled": True, "apiKeySecret": {"name": "keys", "key": "prometheus"}},
    "networkPolicy": {
        "enabled": True,
        "from": [{"namespaceSelector": {}}],
        "egress": [{"ports": [{"protocol": "UDP", "port": 53}]}],
    },
    "serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/a"}},
    "volumes": [{"name": "code", "configMap": {"name": "code"}}],
    "volumeMounts": [{"name": "code", "mountPath": "/code", "readOnly": True}],
    "podAnnotations": {"a": "b"},
    "podLabels": {"team": "a"},
    "nodeSelector": {"kubernetes.io/arch": "amd64"},
    "tolerations": [{"operator": "Exists"}],
    "affinity": {"podAntiAffinity": {}},
    "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}
    ],
    "runtimeClassName": "nvidia",
    "priorityClassName": "high",
}
CASES: dict[str, tuple[Manifest, set[str]]] = {
    "default": ({}, STANDARD),
    "gpu": (read_values("values-gpu.yaml"), STANDARD),
    "keda": (read_values("values-keda.yaml"), STANDARD | CUSTOM_KINDS),
    "everything": (
        EVERYTHING,
        STANDARD | {"HorizontalPodAutoscaler", "Ingress", "NetworkPolicy", "ServiceMonitor"},
    ),
    "little": (
        {"podDisruptionBudget": {"enabled": False}, "serviceAccount": {"create": False}},
        STANDARD - {"PodDisruptionBudget", "ServiceAccount"},
    ),
}


def lint(chart: Path, values: Manifest | None = None) -> list[str]:
    """Errors and warnings of Helm's linter."""
    report = helm_python.lint(chart, values, strict=True)
    assert report["total_charts_linted"] == 1
    told = [one["error"] for one in report["messages"] if one["severity"] > 1]
    return [*told, *report["errors"]]


@pytest.mark.parametrize("values", [values for values, _ in CASES.values()], ids=list(CASES))
def test_the_linter_finds_nothing(values: Manifest) -> None:
    assert lint(CHART, values) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("templates/service.yaml", "{{- end }}", "", "unclosed action|unexpected EOF"),
        ("templates/service.yaml", "selector:", "selector: [", "unable to parse YAML"),
        ("Chart.yaml", "version: 0.1.0", "version: one", "version 'one' is not|semver|Semantic"),
        ("values.yaml", "replicas: 2", "replicas: two", "replicas"),
    ],
    ids=["template", "yaml", "version", "values"],
)
def test_the_linter_finds_what_is_broken(
    tmp_path: Path, file: str, old: str, new: str, said: str
) -> None:
    chart = shutil.copytree(CHART, tmp_path / "lrpserve")
    text = (chart / file).read_text()
    assert old in text
    (chart / file).write_text(text.replace(old, new))
    with pytest.raises(AssertionError) as found:
        assert lint(chart) == []
    assert found.match(said)


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("case", CASES)
def test_kubernetes_takes_every_object(case: str, version: str) -> None:
    values, kinds = CASES[case]
    manifests = render(values)
    assert {one["kind"] for one in manifests} == kinds
    assert len(manifests) == len(kinds)
    for manifest in manifests:
        if manifest["kind"] not in CUSTOM_KINDS:
            validate(manifest, version)


def misspell(manifest: Manifest) -> None:
    manifest["spec"]["selektor"] = {}


def put(path: str, value: object) -> Callable[[Manifest], None]:
    """A function that sets one field of a manifest; `0` in the path is an index."""

    def change(manifest: Manifest) -> None:
        *parents, last = [int(key) if key.isdigit() else key for key in path.split(".")]
        place: Any = manifest
        for key in parents:
            place = place[key]
        place[last] = value

    return change


CONTAINER = "spec.template.spec.containers.0"
BROKEN = [
    ("Deployment", misspell),
    ("Deployment", put(f"{CONTAINER}.securityContext.readOnlyRootFileSystem", True)),
    ("Deployment", put(f"{CONTAINER}.startupProbe.httpGet.port", ["http"])),
    ("Deployment", put(f"{CONTAINER}.env.0.value", 10)),
    ("Deployment", put("spec.template.spec.terminationGracePeriodSeconds", "50 s")),
    ("Deployment", put("spec.template.spec.volumes.0.emptydir", {})),
    ("Service", put("spec.ports.0.targetport", "http")),
    ("ServiceAccount", put("automountServiceAccountToken", "no")),
    ("PodDisruptionBudget", put("spec.maxUnavailable", 0.5)),
    ("HorizontalPodAutoscaler", put("spec.metrics.0.resource.target.averageUtilization", "80%")),
    ("Ingress", put("spec.rules.0.http.paths.0.pathtype", "Prefix")),
    ("NetworkPolicy", put("spec.egress", {})),
    ("Pod", misspell),
]


@pytest.mark.parametrize(("kind", "change"), BROKEN)
def test_a_broken_object_is_refused(kind: str, change: Callable[[Manifest], None]) -> None:
    manifest = copy.deepcopy(
        next(one for one in render(EVERYTHING) if one["kind"] == kind),
    )
    validate(manifest, NEWEST)
    change(manifest)
    with pytest.raises(kubernetes_validate.ValidationError):
        validate(manifest, NEWEST)


def test_every_kind_is_broken_once() -> None:
    kinds = set.union(*(kinds for _, kinds in CASES.values()))
    assert {kind for kind, _ in BROKEN} == kinds - CUSTOM_KINDS


def test_an_object_of_an_unknown_kind_does_not_pass() -> None:
    for kind in CUSTOM_KINDS:
        (manifest,) = (
            one for one in render(read_values("values-keda.yaml")) if one["kind"] == kind
        )
        with pytest.raises(kubernetes_validate.SchemaNotFoundError):
            validate(manifest, NEWEST)


def test_all_names_and_labels_are_those_of_the_release() -> None:
    for manifest in render(EVERYTHING):
        assert manifest["metadata"]["namespace"] == "prod"
        assert manifest["metadata"]["name"].startswith("demo-lrpserve")
    by_kind = {one["kind"]: one for one in render(EVERYTHING)}
    labels = by_kind["Deployment"]["spec"]["template"]["metadata"]["labels"]
    selectors = [
        by_kind["Deployment"]["spec"]["selector"]["matchLabels"],
        by_kind["Service"]["spec"]["selector"],
        by_kind["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        by_kind["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
    ]
    for selector in selectors:
        assert selector.items() <= labels.items()
        assert selector == selectors[0]
    monitored = by_kind["ServiceMonitor"]["spec"]["selector"]["matchLabels"]
    assert monitored.items() <= by_kind["Service"]["metadata"]["labels"].items()
    # `helm test` makes a pod, which must get no requests
    assert not selectors[0].items() <= by_kind["Pod"]["metadata"]["labels"].items()


def test_the_versions_of_the_chart_are_those_of_the_service() -> None:
    description = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert description["version"] == description["appVersion"] == service.__version__
    with Chart.load(CHART) as chart:
        assert chart.version == service.__version__
