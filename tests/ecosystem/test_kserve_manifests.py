"""The manifests for KServe have exactly the fields of kserve's own models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helpers.charts import KSERVE, Manifest, read_manifests
from tests.helpers.environments import run_script

pytestmark = pytest.mark.ecosystem
SCRIPT = Path(__file__).parent / "scripts" / "kserve_schema.py"
RUNTIME, SERVICE = "clusterservingruntime.yaml", "inferenceservice.yaml"
GPU = "inferenceservice-gpu-keda.yaml"
# a file, the path of a field, its value, and what is said about it
BROKEN: list[tuple[str, str, Any, str]] = [
    (RUNTIME, "kind", "ServingRuntimes", "is not known"),
    (RUNTIME, "spec.protocolVersion", ["v1"], "is not a field of V1alpha1ServingRuntimeSpec"),
    (RUNTIME, "spec.supportedModelFormats.0.autoSelect", "yes", "not bool"),
    (RUNTIME, "spec.supportedModelFormats.0.version", 1, "not str"),
    (RUNTIME, "spec.containers.0.securityContext.readonly", True, "is not a field of V1Security"),
    (RUNTIME, "spec.containers.0.env.1.value", 10, "not str"),
    (RUNTIME, "spec.volumes", {"name": "tmp"}, "not a list"),
    (SERVICE, "apiVersion", "serving.kserve.io/v1", "is not known"),
    (SERVICE, "spec.predictor.minreplicas", 1, "is not a field of V1beta1PredictorSpec"),
    (SERVICE, "spec.predictor.maxReplicas", True, "not int"),
    (SERVICE, "spec.predictor.model.modelFormat", "lrpserve", "not V1beta1ModelFormat"),
    (SERVICE, "spec.predictor.model.storageURI", "s3://a/b", "is not a field of V1beta1ModelSpec"),
    (SERVICE, "metadata.annotations", ["a"], "not an object"),
    (GPU, "spec.predictor.autoScaling.metrics.0.external.metric.url", "a", "is not a field of"),
    (GPU, "spec.predictor.model.env.0.values", "b", "is not a field of V1EnvVar"),
]


def problems(clients: Path, folder: Path, manifests: list[Manifest]) -> list[list[str]]:
    """What is wrong with each manifest."""
    file = folder / "manifests.yaml"
    file.write_text(yaml.safe_dump_all(manifests), encoding="utf-8")
    told: list[list[str]] = run_script(clients, SCRIPT, str(file))
    assert len(told) == len(manifests)
    return told


def change(file: str, path: str, value: Any) -> Manifest:
    """A manifest with one field changed."""
    (manifest,) = read_manifests(KSERVE / file)
    *parents, last = [int(key) if key.isdigit() else key for key in path.split(".")]
    place: Any = manifest
    for key in parents:
        place = place[key]
    place[last] = value
    return manifest


def test_every_manifest_is_valid_and_a_broken_one_is_not(clients: Path, tmp_path: Path) -> None:
    files = sorted(KSERVE.glob("*.yaml"))
    assert {file.name for file in files} == {file for file, *_ in BROKEN}
    valid = [manifest for file in files for manifest in read_manifests(file)]
    assert len(valid) == len(files)
    broken = [change(file, path, value) for file, path, value, _ in BROKEN]

    told = problems(clients, tmp_path, [*valid, *broken])

    assert told[: len(valid)] == [[]] * len(valid)
    for (*_, said), found in zip(BROKEN, told[len(valid) :], strict=True):
        assert [said in one for one in found] == [True], (said, found)
