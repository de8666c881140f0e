from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from service.api.request.options import ExplainOptions, PredictOptions
from service.api.request.parameters import EXAMPLE_RULES
from service.api.response.problems import MEDIA_TYPE
from service.app import create_app
from service.methods import ATTRIBUTORS, COMPOSITES, RULES, TYPES, all_parameters
from service.settings import Settings
from tests.api.sending import beside, send, text_of

OPERATIONS: dict[str, type[PredictOptions]] = {
    "/predict": PredictOptions,
    "/explain": ExplainOptions,
}
PATHS = {"/predict", "/explain", "/models", "/models/{name}", "/healthz", "/readyz"}
FORMS = ("multipart/form-data", "application/json")
CASES = [(path, option) for path, kind in OPERATIONS.items() for option in kind.model_fields]
ONLY_IN_JSON = {"targets"}
# their bounds follow from the network's input
OF_THE_NETWORK = {name for name, one in all_parameters().items() if one.default is None}
METHODS = {"get", "post", "put", "delete", "patch", "options", "head", "trace"}


@pytest.fixture(scope="module")
def document(server: Any) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{server.url}/openapi.json").json()
    return found


def operation(document: dict[str, Any], path: str) -> dict[str, Any]:
    found: dict[str, Any] = document["paths"][path]["post"]
    return found


def body_schema(document: dict[str, Any], path: str, media_type: str) -> dict[str, Any]:
    content = operation(document, path)["requestBody"]["content"]
    return resolve(document, content[media_type]["schema"])


def options_in_json(document: dict[str, Any], path: str) -> dict[str, Any]:
    """The schemas of the options, each without the null that it may be instead."""
    properties = body_schema(document, path, "application/json")["properties"]
    options = {name: one for name, one in properties.items() if name not in ("image", "images")}
    return {name: without_null(schema) for name, schema in options.items()}


def without_null(schema: dict[str, Any]) -> dict[str, Any]:
    *kinds, null = schema["anyOf"]
    assert null == {"type": "null"}
    about = {key: value for key, value in schema.items() if key != "anyOf"}
    return about | (kinds[0] if len(kinds) == 1 else {"anyOf": kinds})


def resolve(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """What a schema refers to, or else the schema itself."""
    target: Any = document if "$ref" in schema else schema
    for name in schema.get("$ref", "").removeprefix("#").split("/")[1:]:
        target = target[name]
    found: dict[str, Any] = target
    return found


def walk(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from walk(value)
    elif isinstance(node, list):
        for value in node:
            yield from walk(value)


def operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for item in document["paths"].values():
        yield from (value for name, value in item.items() if name in METHODS)


# --- the document


def test_it_describes_every_path(document: dict[str, Any]) -> None:
    assert set(document["paths"]) >= PATHS
    assert document["info"]["title"] == "lrpserve"
    assert re.match(r"3\.1\.\d", document["openapi"])


def test_every_reference_resolves(document: dict[str, Any]) -> None:
    for node in walk(document):
        if isinstance(node.get("$ref"), str):
            assert resolve(document, node)


def test_operations_are_named_once_and_explained(document: dict[str, Any]) -> None:
    found = list(operations(document))
    names = [each["operationId"] for each in found]

    assert len(set(names)) == len(names)
    for each in found:
        assert each["summary"]
        assert each["description"]
        assert "200" in each["responses"]
        assert all(response["description"] for response in each["responses"].values())
        places = [(parameter["in"], parameter["name"]) for parameter in each.get("parameters", [])]
        assert len(set(places)) == len(places)


def test_every_response_has_a_schema(document: dict[str, Any]) -> None:
    for each in operations(document):
        for response in each["responses"].values():
            assert response["content"]
            for content in response["content"].values():
                assert content.get("schema")


def test_problems_have_their_own_media_type(document: dict[str, Any]) -> None:
    for path in OPERATIONS:
        responses = operation(document, path)["responses"]
        problems = {status: each for status, each in responses.items() if status != "200"}
        assert set(problems) == {
            "400",
            "406",
            "408",
            "413",
            "415",
            "422",
            "429",
            "503",
            "504",
            "507",
        }
        for problem in problems.values():
            assert list(problem["content"]) == [MEDIA_TYPE]
            schema = resolve(document, problem["content"][MEDIA_TYPE]["schema"])
            assert set(schema["properties"]) == {
                "type",
                "title",
                "status",
                "detail",
                "request_id",
                "errors",
            }


def test_no_response_is_described_that_never_happens(document: dict[str, Any]) -> None:
    assert "HTTPValidationError" not in json.dumps(document)
    model = document["paths"]["/models/{name}"]["get"]["responses"]
    assert set(model) == {"200", "404", "default"}


def test_bounds_are_written_as_json_schema_has_them(document: dict[str, Any]) -> None:
    schema = options_in_json(document, "/explain")

    assert schema["bound"]["exclusiveMinimum"] == 0
    for node in walk(schema):
        assert not {"gt", "ge", "lt", "le"} & set(node)


def test_explain_has_three_formats(document: dict[str, Any]) -> None:
    answer = operation(document, "/explain")["responses"]["200"]

    assert set(answer["content"]) == {"application/json", "image/png", "application/x-npy"}
    assert answer["headers"]["X-Explanation"]["description"]


# --- the schemas that have names


def named(document: dict[str, Any], name: str) -> dict[str, Any]:
    return resolve(document, {"$ref": f"#/components/schemas/{name}"})


def test_each_problem_is_the_same(document: dict[str, Any]) -> None:
    contents = [node[MEDIA_TYPE] for node in walk(document) if MEDIA_TYPE in node]

    assert len(contents) > 18
    for content in contents:
        assert content == {"schema": {"$ref": "#/components/schemas/Problem"}}


@pytest.mark.parametrize("path", OPERATIONS)
def test_a_request_in_json_has_a_name(document: dict[str, Any], path: str) -> None:
    name = f"{path.removeprefix('/').title()}Request"
    content = operation(document, path)["requestBody"]["content"]["application/json"]

    assert content["schema"] == {"$ref": f"#/components/schemas/{name}"}
    assert named(document, name)["title"] == name


def test_the_method_in_a_response_has_named_fields(document: dict[str, Any]) -> None:
    schema = named(document, "Method")
    always = ["attributor", "composite", "start", "contrast", "layer", "engine"]

    assert schema["required"] == always
    assert set(schema["properties"]) == {*always, "rules", *all_parameters()}
    assert schema["properties"]["attributor"]["enum"] == list(ATTRIBUTORS)
    request = options_in_json(document, "/explain")
    for name in all_parameters():
        assert request[name].items() <= schema["properties"][name].items()
    for name in ("ExplainResponse", "TargetsResponse"):
        method = named(document, name)["properties"]["method"]
        assert method["$ref"] == "#/components/schemas/Method"


def test_a_rule_has_the_parameters_of_all_rules_by_name(document: dict[str, Any]) -> None:
    schema = named(document, "Rule")
    names = {parameter.name for rule in RULES.values() for parameter in rule.parameters}

    assert set(schema["properties"]) == {"layers", "rule", *names}
    assert schema["required"] == ["layers", "rule"]
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_is_described_as_its_parameters_are(document: dict[str, Any], rule: str) -> None:
    for parameter in RULES[rule].parameters:
        schema = named(document, "Rule")["properties"][parameter.name]
        bounds = {"minimum": parameter.minimum, "maximum": parameter.maximum}
        kind = {"type": "boolean"} if parameter.kind == "boolean" else {"type": "number", **bounds}

        assert any(kind.items() <= one.items() for one in schema.get("anyOf", [schema]))
        assert f"{parameter.text} (of " in schema["description"]
        assert f"`{rule}`" in schema["description"]


@pytest.mark.parametrize(
    ("name", "field"),
    [("Method", "rules"), ("CompositeInfo", "rules"), ("ModelInfo", "own_composites")],
)
def test_rules_in_responses_have_the_schema_of_requests(
    document: dict[str, Any], name: str, field: str
) -> None:
    rules = named(document, name)["properties"][field]

    assert {"$ref": "#/components/schemas/Rule"} in walk(rules)


# --- the options


@pytest.mark.parametrize(("path", "option"), CASES)
def test_every_option_is_described_in_each_form(
    document: dict[str, Any], path: str, option: str
) -> None:
    in_bodies = [body_schema(document, path, form)["properties"] for form in FORMS]
    described = [properties[option] for properties in in_bodies if option in properties]
    described += [
        parameter | parameter["schema"]
        for parameter in operation(document, path)["parameters"]
        if (parameter["in"], parameter["name"]) == ("query", option)
    ]

    assert len(described) == (1 if option in ONLY_IN_JSON else 3)
    for each in described:
        assert len(each["description"]) > 10
        assert {"type", "anyOf", "enum"} & set(each)
        shown = {"default", "enum", "examples", "example"} & set(each)
        assert shown or re.search("default: |example: ", each["description"])


@pytest.mark.parametrize("path", OPERATIONS)
def test_there_are_no_other_options(document: dict[str, Any], path: str) -> None:
    options = set(OPERATIONS[path].model_fields)
    in_text = options - ONLY_IN_JSON

    assert {parameter["name"] for parameter in operation(document, path)["parameters"]} == in_text
    for form, expected in zip(FORMS, (in_text, options), strict=True):
        schema = body_schema(document, path, form)
        is_json = form == "application/json"
        images = {"image", "images"} if is_json else {"image"}
        either = [{"required": ["image"]}, {"required": ["images"]}]
        assert set(schema["properties"]) == images | expected
        assert schema["oneOf"] == either if is_json else schema["required"] == ["image"]
        assert schema["additionalProperties"] is False


@pytest.mark.parametrize("path", OPERATIONS)
def test_an_image_alone_is_a_body_too(document: dict[str, Any], path: str) -> None:
    for media_type in ("image/*", "application/octet-stream"):
        assert body_schema(document, path, media_type)["format"] == "binary"


@pytest.mark.parametrize(("path", "option"), CASES)
def test_examples_and_defaults_are_accepted(
    client: httpx.Client, photo: bytes, document: dict[str, Any], path: str, option: str
) -> None:
    schema = options_in_json(document, path)[option]
    shown = [*schema.get("enum", []), *schema.get("examples", [])]
    limits = ("default", "minimum", "maximum") if option not in OF_THE_NETWORK else ()
    shown += [schema[name] for name in limits if name in schema]

    assert shown
    for value in shown:
        options = {**beside(option), option: value}
        answer = send(client, photo, options, path=path, form="json")
        assert answer.status_code == 200, text_of(value)


@pytest.mark.parametrize("option", sorted(set(ExplainOptions.model_fields) - ONLY_IN_JSON))
def test_examples_and_defaults_of_a_form_are_accepted(
    client: httpx.Client, photo: bytes, document: dict[str, Any], option: str
) -> None:
    parameters = operation(document, "/explain")["parameters"]
    (schema,) = [one["schema"] for one in parameters if one["name"] == option]
    for value in [*schema.get("enum", []), *schema.get("examples", [])]:
        for form in ("raw", "multipart"):
            answer = send(client, photo, {**beside(option), option: value}, form=form)
            assert answer.status_code == 200, text_of(value)


def test_composites_and_rules_are_described(document: dict[str, Any]) -> None:
    schema = options_in_json(document, "/explain")["composite"]

    for name in (*COMPOSITES, *TYPES, *RULES):
        assert f"- `{name}`" in schema["description"]
    for one in COMPOSITES.values():
        assert one.text in schema["description"]
    assert schema["examples"] == [EXAMPLE_RULES]
    assert list(schema["examples"][0][1]) == ["layers", "rule", "gamma"]
    text, rules = schema["anyOf"]
    assert text["type"] == "string"
    assert resolve(document, rules["items"])["properties"]["rule"]["enum"] == list(RULES)


def test_rules_are_text_in_forms_and_queries(document: dict[str, Any]) -> None:
    form = body_schema(document, "/explain", "multipart/form-data")["properties"]["composite"]
    parameters = operation(document, "/explain")["parameters"]
    (query,) = [one["schema"] for one in parameters if one["name"] == "composite"]

    assert (form["type"], query["type"]) == ("string", "string")
    assert "anyOf" not in form.keys() | query.keys()
    assert json.loads(query["examples"][0]) == EXAMPLE_RULES
    assert f"example: `{query['examples'][0]}`" in form["description"]


@pytest.mark.parametrize("name", all_parameters())
def test_parameters_are_those_of_the_registry(document: dict[str, Any], name: str) -> None:
    parameter = all_parameters()[name]
    schema = options_in_json(document, "/explain")[name]

    assert schema["description"].startswith(parameter.text)
    assert (schema.get("minimum"), schema.get("maximum")) == (parameter.minimum, parameter.maximum)
    assert tuple(schema.get("enum", ())) == parameter.choices
    kinds = {"number": "number", "integer": "integer", "boolean": "boolean", "enum": "string"}
    assert schema["type"] == kinds[parameter.kind]
    for option in ("composite", "attributor"):
        if option in beside(name):
            assert f"`{beside(name)[option]}`" in schema["description"]


@pytest.mark.parametrize("path", OPERATIONS)
def test_the_example_works(client: httpx.Client, document: dict[str, Any], path: str) -> None:
    example = operation(document, path)["requestBody"]["content"]["application/json"]["example"]

    answer = client.post(path, json=example)

    assert base64.b64decode(example["image"], validate=True)
    assert answer.status_code == 200
    assert len(example) > 1


@pytest.mark.parametrize(
    ("path", "media_type", "model"),
    [
        ("/predict", MEDIA_TYPE, "Problem"),
        ("/v1/models", "application/json", "ErrorText"),
        ("/v2", "application/json", "ErrorText"),
        ("/v2/models/{model}/infer", "application/json", "ErrorText"),
        ("/predictions/{model}", "application/json", "TorchServeError"),
    ],
)
def test_a_request_without_a_key_gets_an_error_of_its_protocol(
    path: str, media_type: str, model: str
) -> None:
    document = create_app(Settings(api_keys=("a-long-enough-key-of-mine",))).openapi()
    (operation,) = document["paths"][path].values()
    content = operation["responses"]["401"]["content"]
    assert content == {media_type: {"schema": {"$ref": f"#/components/schemas/{model}"}}}
    assert model in document["components"]["schemas"]
