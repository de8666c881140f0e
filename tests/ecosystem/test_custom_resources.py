"""ServiceMonitor and ScaledObject of the chart pass the models of those who define them."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.charts import Manifest, read_values, render_kind
from tests.helpers.tools import find_tool

pytestmark = pytest.mark.ecosystem
SCRIPT = Path(__file__).parent / "scripts" / "custom_resources.mjs"
VALUES: dict[str, list[Manifest]] = {
    "ServiceMonitor": [
        {"serviceMonitor": {"enabled": True}},
        {
            "apiKeys": {"secret": "keys"},
            "tls": {"secret": "certificate"},
            "serviceMonitor": {
                "enabled": True,
                "labels": {"release": "prometheus"},
                "interval": "5s",
                "tlsConfig": {"insecureSkipVerify": True},
                "apiKeySecret": {"name": "keys", "key": "prometheus"},
            },
        },
    ],
    "ScaledObject": [
        read_values("values-keda.yaml"),
        {
            "autoscaling": {
                "type": "keda",
                "minReplicas": 0,
                "keda": {
                    "query": "sum(up)",
                    "threshold": 2.5,
                    "authenticationRef": "prometheus",
                    "triggers": [
                        {
                            "type": "cron",
                            "metadata": {
                                "timezone": "UTC",
                                "start": "0 8 * * *",
                                "end": "0 18 * * *",
                                "desiredReplicas": "2",
                            },
                        }
                    ],
                },
            }
        },
    ],
}
BROKEN: list[tuple[str, str, Any, str]] = [
    ("ServiceMonitor", "spec.selektor", {}, "does not exist in type"),
    ("ServiceMonitor", "spec.selector", None, "selector"),
    ("ServiceMonitor", "spec.endpoints.0.interval", 15, "interval"),
    ("ServiceMonitor", "spec.endpoints.0.scheme", 1, "scheme"),
    ("ServiceMonitor", "kind", "ServiceMonitors", "is not known"),
    ("ScaledObject", "spec.scaleTargetRef", "demo", "scaleTargetRef"),
    ("ScaledObject", "spec.minReplicaCount", "two", "minReplicaCount"),
    ("ScaledObject", "spec.triggers.0.metadata.threshold", 8, "threshold"),
    ("ScaledObject", "spec.triggers.0.typ", "prometheus", "does not exist in type"),
    ("ScaledObject", "apiVersion", "keda.sh/v2", "is not known"),
]


def problems(folder: Path, manifests: list[Manifest]) -> list[str]:
    """What is wrong with each manifest; an empty text where nothing is."""
    script = shutil.copy(SCRIPT, folder)  # imports are looked for from where the script lies
    file = folder / "manifests.json"
    file.write_text(json.dumps(manifests), encoding="utf-8")
    done = subprocess.run(
        [find_tool("node", "nodejs"), script, file],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told: list[str] = json.loads(done.stdout)
    assert len(told) == len(manifests)
    return told


def change(kind: str, path: str, value: Any) -> Manifest:
    """The first object of a kind with one field changed; None removes it."""
    manifest = copy.deepcopy(render_kind(kind, VALUES[kind][0]))
    *parents, last = [int(key) if key.isdigit() else key for key in path.split(".")]
    place: Any = manifest
    for key in parents:
        place = place[key]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return manifest


def test_every_object_is_valid_and_a_broken_one_is_not(kubernetes_models: Path) -> None:
    valid = [render_kind(kind, one) for kind, values in VALUES.items() for one in values]
    broken = [change(kind, path, value) for kind, path, value, _ in BROKEN]

    told = problems(kubernetes_models, [*valid, *broken])

    assert told[: len(valid)] == [""] * len(valid)
    for (*_, said), found in zip(BROKEN, told[len(valid) :], strict=True):
        assert said in found
