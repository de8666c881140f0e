"""Compares manifests with kserve's Python models, field by field; writes what is wrong as JSON.

Runs in the environment of the clients: no package has KServe's definitions of resources. An unknown
field, a wrong type and an unknown kind are errors.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kserve.models
import kubernetes.client.models
import yaml

KINDS = {
    ("serving.kserve.io/v1beta1", "InferenceService"): "V1beta1InferenceService",
    ("serving.kserve.io/v1alpha1", "ClusterServingRuntime"): "V1alpha1ClusterServingRuntime",
}
SCALARS: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "object": (object,),
    "ResourceQuantity": (str, int, float),
    "V1beta1MetricQuantity": (str, int, float),
}
# Kubernetes' models of one version have other names in KServe's
ALIASES = {"K8sIoApiAppsV1DeploymentStrategy": "V1DeploymentStrategy"}


def check(value: Any, kind: str, path: str) -> Iterator[str]:
    """Yield what differs from a type as the models write it: `list[V1Container]`, `int`."""
    if found := re.fullmatch(r"[Ll]ist\[(.+)\]", kind):
        yield from _check_list(value, found[1], path)
    elif found := re.fullmatch(r"[Dd]ict[\[(]str, (.+)[\])]", kind):
        yield from _check_map(value, found[1], path)
    elif kind in SCALARS:
        is_right = isinstance(value, SCALARS[kind])
        if not is_right or (isinstance(value, bool) and kind not in {"bool", "object"}):
            yield f"{path} is {value!r}, not {kind}"
    else:
        yield from _check_object(value, kind, path)


def _check_list(value: Any, kind: str, path: str) -> Iterator[str]:
    if not isinstance(value, list):
        yield f"{path} is {value!r}, not a list"
        return
    for n, item in enumerate(value):
        yield from check(item, kind, f"{path}[{n}]")


def _check_map(value: Any, kind: str, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path} is {value!r}, not an object"
        return
    for key, item in value.items():
        yield from check(item, kind, f"{path}.{key}")


def _check_object(value: Any, kind: str, path: str) -> Iterator[str]:
    model = _find_model(kind)
    if model is None:
        yield f"{path} has the type {kind}, which cannot be checked"
        return
    if not isinstance(value, dict):
        yield f"{path} is {value!r}, not {kind}"
        return
    types = {model.attribute_map[name]: text for name, text in model.openapi_types.items()}
    for key, item in value.items():
        if key in types:
            yield from check(item, types[key], f"{path}.{key}")
        else:
            yield f"{path}.{key} is not a field of {kind}"


def _find_model(kind: str) -> Any:
    name = ALIASES.get(kind, kind)
    return getattr(kserve.models, name, None) or getattr(kubernetes.client.models, name, None)


def check_document(manifest: dict[str, Any]) -> list[str]:
    """All that is wrong with a manifest."""
    name = KINDS.get((manifest.get("apiVersion", ""), manifest.get("kind", "")))
    if name is None:
        return [f"{manifest.get('apiVersion')} {manifest.get('kind')} is not known"]
    return list(check(manifest, name, manifest["kind"]))


documents = list(yaml.safe_load_all(Path(sys.argv[1]).read_text(encoding="utf-8")))
sys.stdout.write(json.dumps([check_document(document) for document in documents]))
