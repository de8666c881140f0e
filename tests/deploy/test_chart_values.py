"""Values of the chart: each is documented, and a wrong one is refused with a reason."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from helm_python import HelmRenderError, HelmValuesError

from service.settings import Settings
from tests.docs.markdown import blocks
from tests.helpers.charts import (
    CHART,
    ROOT,
    Manifest,
    container_of,
    environment_of,
    read_values,
    render,
    render_kind,
    settings_of,
)
from tools.reference.chart import values_schema

SCHEMA = json.loads((CHART / "values.schema.json").read_text())


def objects(schema: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every object of the schema with properties, by its path."""
    if "properties" in schema:
        yield path, schema
        for name, child in schema["properties"].items():
            yield from objects(child, f"{path}.{name}".lstrip("."))


def test_an_unknown_value_is_refused_at_every_level() -> None:
    paths = [path for path, _ in objects(SCHEMA)]
    assert {"", "image", "settings", "models.storage", "autoscaling.keda"} <= set(paths)
    for path, schema in objects(SCHEMA):
        assert schema["additionalProperties"] is False, path


def test_the_schema_and_the_values_have_the_same_names() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    free = {"global", "resources.requests", "resources.limits"}
    for path, schema in objects(SCHEMA):
        given: Any = values
        for key in filter(None, path.split(".")):
            given = given[key] if given else {}
        if path != "settings" and given:
            assert set(schema["properties"]) - free == set(given), path


def test_every_value_has_a_comment() -> None:
    lines = (CHART / "values.yaml").read_text().splitlines()
    undocumented = {
        line.split(":")[0].strip()
        for before, line in itertools.pairwise(lines)
        if re.match(r" *\w+:", line) and not re.match(r" *#", before)
    }
    # parts of Kubernetes' objects, below a comment on the whole
    parts = {"requests", "limits", "type", "rollingUpdate", "scaleDown"}
    assert undocumented - parts == {"runAsUser", "runAsGroup", "fsGroup"}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"replica": 3}, "replica"),
        ({"replicas": "three"}, "/replicas"),
        ({"replicas": -1}, "/replicas"),
        ({"image": {"pullPolicy": "Sometimes"}}, "/image/pullPolicy"),
        ({"settings": {"grace": 10}}, "grace"),
        ({"settings": {"grace_s": -1}}, "/settings/grace_s"),
        ({"settings": {"log_format": "xml"}}, "/settings/log_format"),
        ({"settings": {"api_keys": "secret"}}, "api_keys"),
        ({"env": [{"name": "A", "values": "b"}]}, "/env/0"),
        ({"models": {"from": "volumes"}}, "/models/from"),
        ({"models": {"name": "My model"}}, "/models/name"),
        ({"models": {"storage": {"uri": "bucket/model"}}}, "/models/storage/uri"),
        ({"autoscaling": {"type": "HPA"}}, "/autoscaling/type"),
        ({"autoscaling": {"keda": {"threshold": 0}}}, "/autoscaling/keda/threshold"),
        ({"resources": {"limit": {}}}, "limit"),
        ({"service": {"port": 70000}}, "/service/port"),
        ({"ingress": {"path": "lrp"}}, "/ingress/path"),
        ({"tmpSizeLimit": "large"}, "/tmpSizeLimit"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(values: Manifest, said: str) -> None:
    with pytest.raises(HelmValuesError) as refused:
        render(values)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"models": {"from": "volume"}}, "set models.volume to a volume"),
        ({"models": {"from": "initContainer"}}, "set models.initContainer.image"),
        ({"models": {"from": "storage"}}, "set models.storage.uri"),
        (
            {"models": {"from": "storage", "default": "a", "storage": {"uri": "s3://a/b"}}},
            "leave models.default empty",
        ),
        ({"autoscaling": {"type": "hpa", "minReplicas": 0}}, "set 1 or more"),
        ({"autoscaling": {"type": "keda", "minReplicas": 0}}, "none would ever start"),
        ({"terminationGracePeriodSeconds": 30}, "requests would be cut off"),
        (
            {"apiKeys": {"secret": "keys"}, "serviceMonitor": {"enabled": True}},
            "set serviceMonitor.apiKeySecret",
        ),
    ],
)
def test_values_that_do_not_go_together_are_refused_with_what_to_do(
    values: Manifest, said: str
) -> None:
    with pytest.raises(HelmRenderError) as refused:
        render(values)
    assert said in str(refused.value)


def test_every_setting_can_be_given_and_arrives_as_it_is() -> None:
    schema = SCHEMA["properties"]["settings"]["properties"]
    own_values = {"model", "model_name", "models", "api_keys", "tls_cert", "tls_key"}
    secrets = {
        name for name, field in Settings.model_fields.items() if "Secret" in str(field.annotation)
    }
    assert "rate_limit_storage" in secrets
    assert set(schema) == set(Settings.model_fields) - own_values - secrets
    given = Settings().model_dump(mode="json", include=set(schema))
    given |= {"cors_origins": ["https://a.example", "https://b.example"], "deadline_s": 7.5}
    container = container_of(render_kind("Deployment", {"settings": given}))
    assert environment_of(container)["LRPSERVE_MAX_BODY_BYTES"] == "10000000"
    assert settings_of(container) == Settings.model_validate(given)


def test_the_values_of_a_file_arrive_as_they_are_too() -> None:
    settings = read_values("values.yaml")["settings"] | {"max_pixels": 40_000_000}
    environment = environment_of(container_of(render_kind("Deployment", {"settings": settings})))
    assert environment["LRPSERVE_MAX_PIXELS"] == "40000000"
    assert environment["LRPSERVE_GRACE_S"] == "10"


def test_the_schema_of_settings_is_generated() -> None:
    text = (CHART / "values.schema.json").read_text()
    assert values_schema(text) == text
    assert values_schema(text.replace('"grace_s"', '"grace_seconds"')) == text


def test_the_values_in_the_documentation_can_be_rendered() -> None:
    page = ROOT / "docs" / "how-to" / "kubernetes.md"
    examples = [yaml.safe_load(block.text) for block in blocks(page) if block.language == "yaml"]
    assert len(examples) >= 2
    for values in examples:
        assert render(values)
