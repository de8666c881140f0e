"""Options are resolved against a model; contradictions are a 422 that says what to do."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from service.api.request.accept import JSON, NPY, PNG
from service.api.request.options import ExplainOptions, parse_options
from service.api.request.resolved import resolve_explain
from service.api.response.schemas import ExplainResponse, TargetsResponse
from service.errors import OptionError
from service.methods import ATTRIBUTORS, COMPOSITES, all_parameters
from service.models.card import ModelCard
from service.runtime.jobs import ExplainJob, LayerInfo
from service.settings import Settings
from tests.api.in_process import Connection, FakeEngine, connect, explain, explain_as
from tests.api.sending import JSON_TYPE, beside, problem_of, send, wrong_options

RAW = {"Content-Type": "image/jpeg"}
PLAIN_ATTRIBUTORS = [name for name, one in ATTRIBUTORS.items() if not one.is_modified]


@pytest.fixture(scope="module")
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture(scope="module")
def connection(engine: FakeEngine) -> Iterator[Connection]:
    with connect(Settings(), engine) as made:
        yield made


# --- several classes


def test_targets_keep_their_order(client: httpx.Client, photo: bytes) -> None:
    answer = send(client, photo, {"targets": ["truck", 3, "label:dog"]}, form="json")

    explanations = TargetsResponse.model_validate_json(answer.content).explanations
    assert [one.target.label for one in explanations] == ["truck", "cat", "dog"]


@pytest.mark.parametrize("form", ["raw", "multipart"])
@pytest.mark.parametrize("value", ["cat", "cat,dog", '["cat", "dog"]', "3"])
def test_targets_are_only_in_json(
    client: httpx.Client, photo: bytes, form: str, value: str
) -> None:
    problems = wrong_options(send(client, photo, {"targets": value}, form=form))

    assert problems == {"targets": "must be a list of 1 to 10 classes; only in JSON"}


@pytest.mark.parametrize("beside", [["target"], ["contrast"], ["target", "contrast"]])
def test_targets_exclude_target_and_contrast(
    client: httpx.Client, photo: bytes, beside: list[str]
) -> None:
    options = {"targets": ["cat", "dog"], **dict.fromkeys(beside, "ship")}

    problems = wrong_options(send(client, photo, options, form="json"))

    assert list(problems) == beside
    assert all("does not go with `targets`" in said for said in problems.values())


@pytest.mark.parametrize(
    ("target", "contrast"), [("cat", "cat"), ("3", "cat"), ("cat", "label:cat")]
)
def test_a_class_is_not_explained_against_itself(
    client: httpx.Client, photo: bytes, target: str, contrast: str
) -> None:
    answer = send(client, photo, {"target": target, "contrast": contrast})

    said = wrong_options(answer)
    assert said == {"contrast": "is the class that is explained; give another class"}


@pytest.mark.parametrize("accept", [PNG, NPY])
@pytest.mark.parametrize("targets", [["cat"], ["cat", "dog"]])
def test_targets_fit_into_json_only(
    client: httpx.Client, photo: bytes, accept: str, targets: list[str]
) -> None:
    answer = send(client, photo, {"targets": targets}, form="json", headers={"Accept": accept})

    assert wrong_options(answer) == {"targets": "fit into JSON only: accept application/json"}


# --- methods


@pytest.mark.parametrize("composite", COMPOSITES)
def test_parameters_of_other_composites_are_refused(
    connection: Connection, photo: bytes, composite: str
) -> None:
    own = [parameter.name for parameter in COMPOSITES[composite].parameters]
    for name, parameter in all_parameters().items():
        value = parameter.default if parameter.default is not None else 8
        answer = explain(connection, photo, composite=composite, **{name: value})
        if name in own:
            assert answer.json()["method"][name] == value
        else:
            has = ", ".join(own) or "none"
            said = f"the composite {composite} has no such parameter; it has: {has}"
            assert wrong_options(answer) == {name: said}


@pytest.mark.parametrize("name", all_parameters())
def test_a_parameter_reaches_the_engine(
    connection: Connection, engine: FakeEngine, photo: bytes, name: str
) -> None:
    parameter = all_parameters()[name]
    other = {"boolean": True, "enum": "black", "number": 0.5, "integer": 2}[parameter.kind]

    answer = explain(connection, photo, **{**beside(name), name: other})

    assert answer.json()["method"][name] == other
    job = engine.jobs[-1]
    assert isinstance(job, ExplainJob)
    assert job.method[name] == other
    assert type(job.method[name]) is type(other)


@pytest.mark.parametrize("attributor", ATTRIBUTORS)
def test_the_default_composite_depends_on_the_attributor(
    connection: Connection, photo: bytes, attributor: str
) -> None:
    method = explain(connection, photo, attributor=attributor).json()["method"]

    expected = "epsilon_plus_flat" if ATTRIBUTORS[attributor].is_modified else "none"
    assert (method["attributor"], method["composite"]) == (attributor, expected)
    for parameter in ATTRIBUTORS[attributor].parameters:
        assert parameter.default in (None, method[parameter.name])


@pytest.mark.parametrize("attributor", PLAIN_ATTRIBUTORS)
@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("composite", "epsilon_plus", "must be none with {}, which explains the plain network"),
        ("composite", '[{"layers": "x", "rule": "flat"}]', "must be none with {}, which explains"),
        ("layer", "features.0", "must be input with {}"),
        ("start", "logit", "must be one_hot with {}, which explains the logit itself"),
    ],
)
def test_plain_attributors_refuse_composites_layers_and_starts(
    connection: Connection, photo: bytes, attributor: str, option: str, value: str, said: str
) -> None:
    problems = wrong_options(explain(connection, photo, attributor=attributor, **{option: value}))

    assert list(problems) == [option]
    assert said.format(attributor) in problems[option]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"window": 33}, {"window": "must be at most 32, the network's input"}),
        ({"window": 4, "stride": 5}, {"stride": "must be at most 4, the window"}),
    ],
)
def test_default_windows_depend_on_the_input_size(
    connection: Connection, photo: bytes, given: dict[str, int], said: dict[str, str]
) -> None:
    assert wrong_options(explain(connection, photo, attributor="occlusion", **given)) == said


# --- layers


@pytest.mark.parametrize("layer", ["features.1", "Features.0", "features", "input ", "x" * 300])
def test_an_unknown_layer_is_refused_with_the_names_of_layers(
    connection: Connection, photo: bytes, layer: str
) -> None:
    problems = wrong_options(explain(connection, photo, layer=layer))

    assert problems == {"layer": "there is no such layer; there are: input, classifier, features.0"}


def test_an_error_names_some_of_many_layers(card: ModelCard) -> None:
    layers = [LayerInfo(f"layer{n}", "Conv2d", (1, 1, 1)) for n in range(100)]
    options = parse_options(ExplainOptions, {"layer": "relu"}, {card.name: card})

    with pytest.raises(OptionError, match=r"there are: input, layer0, .*layer18, \.\.\.$"):
        resolve_explain(options, card, layers)


def test_any_layer_passes_until_the_model_is_loaded(connection: Connection, photo: bytes) -> None:
    with connection.loading():
        problem_of(explain(connection, photo, layer="not known yet"), 503)


def test_relevance_at_a_layer(connection: Connection, engine: FakeEngine, photo: bytes) -> None:
    answer = explain(connection, photo, layer="features.0", output="relevance", channels="all")

    assert answer.json()["method"]["layer"] == "features.0"
    assert answer.json()["relevance"]["shape"] == [8, 16, 16]
    job = engine.jobs[-1]
    assert isinstance(job, ExplainJob)
    assert job.method.layer == "features.0"


@pytest.mark.parametrize("accept", [JSON, PNG])
@pytest.mark.parametrize("output", [None, "heatmap", "overlay", "heatmap,relevance"])
def test_a_layer_without_space_has_no_picture(
    connection: Connection, photo: bytes, accept: str, output: str | None
) -> None:
    options = {} if output is None else {"output": output}

    problems = wrong_options(explain_as(accept, connection, photo, layer="classifier", **options))

    assert list(problems) == ["output"]
    assert "the layer classifier has no rows and columns" in problems["output"]
    assert "give output=relevance" in problems["output"]


@pytest.mark.parametrize("channels", ["sum", "all"])
def test_a_layer_without_space_has_relevance(
    connection: Connection, photo: bytes, channels: str
) -> None:
    options = {"layer": "classifier", "channels": channels}

    answer = explain(connection, photo, output="relevance", **options)

    assert ExplainResponse.model_validate_json(answer.content).relevance
    assert answer.json()["relevance"]["shape"] == [12]
    assert explain_as(NPY, connection, photo, **options).status_code == 200  # ignores output


# --- lists of rules


def test_a_list_of_rules_is_the_same_in_each_form(client: httpx.Client, photo: bytes) -> None:
    rules = [{"layers": "type:convolution", "rule": "gamma"}, {"layers": "*", "rule": "epsilon"}]
    answers = [
        send(client, photo, {"composite": rules, "output": "relevance"}, form=form)
        for form in ("raw", "multipart", "json")
    ]

    method = answers[0].json()["method"]
    assert method["composite"] == "custom"
    assert [rule["rule"] for rule in method["rules"]] == ["gamma", "epsilon"]
    assert method["rules"][0] == {
        "layers": "type:convolution",
        "rule": "gamma",
        "gamma": 0.25,
        "stabilizer": 1e-6,
        "zero_bias": False,
    }
    assert answers[0].content == answers[1].content == answers[2].content


@pytest.mark.parametrize("name", ["epsilon_plus_flat", "epsilon_gamma_box", "guided_backprop"])
def test_a_composite_of_the_service_written_out_gives_the_same(
    client: httpx.Client, photo: bytes, name: str
) -> None:
    models = client.get("/models").json()["models"]
    (composite,) = [one for one in models[0]["composites"] if one["name"] == name]
    asked = {"output": "relevance", "channels": "all"}

    named = send(client, photo, {**asked, "composite": name}).json()
    written = send(client, photo, {**asked, "composite": composite["rules"]}).json()

    assert written["relevance"] == named["relevance"]
    assert written["conservation"] == named["conservation"]


def test_a_name_twice_in_a_rule_is_refused_in_json_too(
    connection: Connection, photo: bytes
) -> None:
    body = '{"image": "", "composite": [{"layers": "x", "rule": "flat", "rule": "pass"}]}'

    answer = connection.request("POST", "/explain", content=body, headers=JSON_TYPE)

    assert wrong_options(answer) == {"composite": "an object has the name 'rule' more than once"}


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ([{"layers": "conv9", "rule": "flat"}], "entry 1: no layer is called conv9; there are: "),
        (
            [{"layers": "*", "rule": "epsilon"}, {"layers": "type:relu", "rule": "flat"}],
            "entry 2: the rule flat cannot be given to",
        ),
        ([{"layers": "type:dense", "rule": "zbox"}], "zbox is for the layer that sees the image"),
    ],
)
def test_rules_that_do_not_fit_the_network(
    client: httpx.Client, photo: bytes, rules: list[dict[str, str]], said: str
) -> None:
    assert said in wrong_options(send(client, photo, {"composite": rules}))["composite"]
