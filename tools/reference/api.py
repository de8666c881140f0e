"""Tables of the wire: paths, options, responses, colour maps, and the card of a model."""

from __future__ import annotations

import json
import re
from typing import Any

from service.api.request.options import ExplainOptions, PredictOptions
from service.app import create_app
from service.imaging.colormaps import COLORMAPS
from service.methods import all_parameters
from service.models.card import ModelCard
from service.settings import Settings
from tools.reference.markdown import code, table, values_of

_REFERENCE = re.compile(r"#/components/schemas/(\w+)")
# options whose values have a table of their own
_ELSEWHERE = {
    "composite": "The rules: the name of a [composite](methods.md#composites), or a list of "
    "[rules](methods.md#rules) (default: that of the attributor)",
    "attributor": "How the gradient is used: an [attributor](methods.md#attributors)",
    "cmap": "[Colour map](#colour-maps) of heatmaps and overlays",
}


def paths() -> str:
    """Every path of the OpenAPI document."""
    rows = [
        (code(f"{method.upper()} {path}"), operation["description"].split("\n\n", 1)[0])
        for path, operations in _document()["paths"].items()
        for method, operation in operations.items()
    ]
    return table(("path", "what it answers"), rows)


def predict_options() -> str:
    """The options of `/predict`."""
    return _options(list(PredictOptions.model_fields))


def explain_options() -> str:
    """The options that `/explain` has besides, but for the parameters of methods."""
    known = {*PredictOptions.model_fields, *all_parameters()}
    return _options([name for name in ExplainOptions.model_fields if name not in known])


def _options(names: list[str]) -> str:
    properties = ExplainOptions.model_json_schema()["properties"]
    rows = []
    for name in names:
        schema = properties[name]
        default = schema.get("default")
        shown = "" if default is None else code(default)
        text = _ELSEWHERE.get(name, schema["description"])
        rows.append((code(name), shown, _without_null(schema), text))
    return table(("option", "default", "values", "meaning"), rows)


def responses() -> str:
    """The fields of all that a JSON response of `/predict` or `/explain` holds."""
    document = _document()
    schemas = document["components"]["schemas"]
    posts = [
        operations["post"] for operations in document["paths"].values() if "post" in operations
    ]
    names = _names_in([operation["responses"] for operation in posts], schemas)
    return "\n\n".join(_object(name, schemas[name]) for name in names)


def _names_in(part: Any, schemas: dict[str, Any]) -> list[str]:
    """The names of all schemas that a part of the document refers to, each once."""
    found: list[str] = []
    parts = [part]
    while parts:
        text = json.dumps(parts.pop(0))
        new = [name for name in dict.fromkeys(_REFERENCE.findall(text)) if name not in found]
        found += new
        parts += [schemas[name] for name in new]
    return found


def card() -> str:
    """The fields of `model.json`, and of the objects in it."""
    schema = ModelCard.model_json_schema()
    parts = {"ModelCard": schema, **schema["$defs"]}
    return "\n\n".join(_object(name, part) for name, part in parts.items())


def colormaps() -> str:
    """The colour maps."""
    return table(("`cmap`", "colours"), [(code(name), text) for name, text in COLORMAPS.items()])


def _object(name: str, schema: dict[str, Any]) -> str:
    required = schema.get("required", [])
    rows = [
        (code(field), _without_null(part), _field_text(part, is_required=field in required))
        for field, part in schema["properties"].items()
    ]
    heading = f"### {name}\n\n{schema['description'].split(chr(10) * 2, 1)[0]}"
    return f"{heading}\n\n{table(('field', 'type', 'meaning'), rows)}"


def _field_text(schema: dict[str, Any], *, is_required: bool) -> str:
    text = schema.get("description", "")
    return text if is_required else f"{text} (may be left out)".strip()


def _without_null(schema: dict[str, Any]) -> str:
    return values_of(schema).removesuffix(" or null")


def _document() -> dict[str, Any]:
    document: dict[str, Any] = create_app(Settings.model_construct()).openapi()
    return document
