"""The schema of the chart's values: what it says about the settings of the service."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from service.settings import Settings

SCHEMA = Path("deploy", "helm", "lrpserve", "values.schema.json")
# these have values of their own in the chart
_ELSEWHERE = frozenset({"model", "model_name", "models", "api_keys", "tls_cert", "tls_key"})
_KEPT = frozenset(
    {"type", "enum", "items", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
)


def values_schema(text: str) -> str:
    """The text of `values.schema.json` with the present settings below `settings`."""
    schema = json.loads(text)
    schema["properties"]["settings"]["properties"] = {
        name: _setting(field)
        for name, field in Settings.model_json_schema()["properties"].items()
        if name not in _ELSEWHERE and not _is_secret(field)
    }
    return json.dumps(schema, indent=2) + "\n"


def _is_secret(field: dict[str, Any]) -> bool:
    """Whether a setting may hold a password, and belongs into a Secret."""
    return any(kind.get("writeOnly", False) for kind in field.get("anyOf", [field]))


def _setting(field: dict[str, Any]) -> dict[str, Any]:
    """The type and the bounds of a setting, without what else pydantic tells."""
    kinds = [kind for kind in field.get("anyOf", [field]) if kind["type"] != "null"]
    (kind,) = kinds
    kept = {key: value for key, value in kind.items() if key in _KEPT}
    if "anyOf" in field:
        kept["type"] = [kept["type"], "null"]
    return {"description": field["description"]} | kept
