"""Every option: its default, its bounds, and the errors for invalid values."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from service.api.request.options import OUTPUTS, ExplainOptions, PredictOptions, parse_options
from service.api.request.parameters import EXAMPLE_RULES
from service.api.response.layer_schemas import LayersResponse
from service.api.response.schemas import ExplainResponse, TargetsResponse
from service.errors import OptionError
from service.imaging.colormaps import COLORMAPS
from service.methods import ATTRIBUTORS, COMPOSITES, Parameter, all_parameters
from service.models.card import ModelCard
from tests.api.sending import FORMS, beside, send, wrong_options

PARAMETERS = all_parameters()

# the documented defaults, written out
DEFAULTS: dict[str, Any] = {
    "model": None,
    "top_k": 5,
    "fit": "crop",
    "target": None,
    "contrast": None,
    "targets": None,
    "start": None,
    "composite": None,  # the attributor's own
    "attributor": "gradient",
    "layer": "input",
    "layers": None,
    "output": ("heatmap",),
    "relevance_format": "base64",
    "channels": "sum",
    "cmap": "bwr",
    "size": 256,
    "enlarge": None,  # squares in heatmaps, smooth in overlays
    "overlay_style": "alpha",
    "color_bar": False,
    "bound": None,
    **dict.fromkeys(PARAMETERS),  # those of the composite and the attributor
}


def good_values(parameter: Parameter) -> list[Any]:
    if parameter.kind == "boolean":
        return [True, False, "true", "false"]
    if parameter.kind == "enum":
        return list(parameter.choices)
    if parameter.default is None:  # its bounds follow from the network's input
        return [5, 8, "7"]
    high = parameter.maximum if parameter.name not in SLOW else 2
    return [parameter.minimum, parameter.default, high]


def bad_values(parameter: Parameter) -> list[tuple[Any, str]]:
    if parameter.kind == "boolean":
        return [("maybe", "true or false"), (2, "true or false"), ("", "true or false")]
    if parameter.kind == "enum":
        return [("grey", ", ".join(parameter.choices)), (1, "string")]
    assert parameter.minimum is not None
    assert parameter.maximum is not None
    bounds = f"must be {parameter.bounds}"
    wrong: list[tuple[Any, str]] = [
        (parameter.minimum - 1, bounds),
        (parameter.maximum + 1, bounds),
    ]
    if parameter.kind == "integer":
        wrong += [(10**4000, bounds), (2.5, "integer"), ("many", "integer")]
    else:
        wrong += [("nan", bounds), ("inf", bounds), ("-inf", bounds), ("small", "number")]
    return [*wrong, (True, "must be a number, not true"), ("", "valid")]


SLOW = ("n_samples", "n_steps")

# option -> values that are taken
GOOD: dict[str, list[Any]] = {
    "model": ["minivgg-cifar10"],
    "top_k": [1, 10, 1000],
    "fit": ["crop", "stretch", "pad"],
    "target": [0, 9, "3", "03", "cat", "label:cat", None],
    "contrast": [0, "truck", "label:truck"],
    "targets": [[3], [0, "9", "cat", "label:dog"], list(range(10)), None],
    "start": ["one_hot", "logit"],
    "composite": [*COMPOSITES, None, EXAMPLE_RULES, json.dumps(EXAMPLE_RULES)],
    "attributor": list(ATTRIBUTORS),
    "layer": ["input"],
    "layers": ["all", "input, features.0", ["features.0"]],
    "output": [*OUTPUTS, "heatmap,relevance", " overlay , heatmap ", "heatmap,heatmap"],
    "relevance_format": ["base64", "list"],
    "channels": ["sum", "all"],
    "cmap": list(COLORMAPS),
    "size": [16, 2048],
    "enlarge": ["nearest", "smooth"],
    "overlay_style": ["alpha", "contours"],
    "color_bar": [True, False, "true", "false"],
    "bound": [5e-324, 0.02, 1e300],
    **{name: good_values(parameter) for name, parameter in PARAMETERS.items()},
}

# option -> values that are not, each with words of what is allowed
BAD: dict[str, list[tuple[Any, str]]] = {
    "model": [("resnet50", "minivgg-cifar10"), ("", "minivgg-cifar10"), (5, "string")],
    "top_k": [
        (0, "greater than or equal to 1"),
        (-1, "greater than or equal to 1"),
        (1001, "less than or equal to 1000"),
        ("five", "integer"),
        (2.5, "integer"),
        ("", "integer"),
        (True, "number, not true"),
    ],
    "fit": [("fill", "'crop', 'stretch' or 'pad'"), ("", "'crop', 'stretch' or 'pad'")],
    "target": [
        (10, "below 10, or a label"),
        ("99999999999999999999", "below 10, or a label"),
        (-1, "one of: airplane"),
        ("Cat", "cat"),
        ("", "cat"),
        ("label:3", "cat"),
        ("label:", "cat"),
        ("3.0", "cat"),
        ("\u0663", "cat"),  # a digit, but not one of 0 to 9
        (True, "string"),
        (2.0, "string"),
    ],
    "contrast": [(10, "below 10, or a label"), ("kitten", "cat"), ("label:label:cat", "cat")],
    "targets": [
        ("cat", "list of 1 to 10 classes; only in JSON"),
        (3, "list of 1 to 10 classes; only in JSON"),
        ({"a": 1}, "list of 1 to 10 classes; only in JSON"),
        ([], "list of 1 to 10 classes, not of 0"),
        ([0] * 11, "list of 1 to 10 classes, not of 11"),
        (["cat", "kitten"], "one of: airplane"),
        ([10], "below 10, or a label"),
        ([True], "string"),
        ([["cat"]], "string"),
        (["cat", 3], "names a class more than once"),
        (["3", "0003"], "names a class more than once"),
    ],
    "start": [("one-hot", "'one_hot' or 'logit'")],
    "composite": [
        ("lrp", ", ".join(COMPOSITES)),
        ("custom", ", ".join(COMPOSITES)),
        ("", ", ".join(COMPOSITES)),
        ("[", "not valid JSON"),
        (' [{"layers": "x", "rule": "flat"}', "not valid JSON"),
        ('[{"layers": "x", "rule": "flat", "rule": "flat"}]', "the name 'rule' more than once"),
        ('[{"layers": "x", "rule": "flat", "stabilizer": NaN}]', "NaN is not JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("[" + " " * 200_000, "at most 200000 characters"),
        ("[" + "{}," * 60_000, "too many commas"),
        ("[]", "must be a name, or a list of rules such as"),
        ([], "must be a name, or a list of rules such as"),
        ({"layers": "x", "rule": "flat"}, "must be a name, or a list of rules such as"),
        (5, "must be a name, or a list of rules such as"),
        (True, "must be a name, or a list of rules such as"),
        ([EXAMPLE_RULES], "entry 1 must be an object"),
        ([{"layers": "x"}], "entry 1: `rule` must be one of: epsilon"),
        ([{"layers": "x", "rule": "flat"}, {}], "entry 2: `layers` must be"),
        ([{"layers": "type:x", "rule": "flat"}], "there is no type:x; there are: type:conv"),
        ([{"layers": "x", "rule": "gamma", "gamma": 101}], "gamma: must be from 0 to 100"),
        ([{"layers": "x", "rule": "gamma", "gamma": {"a": 1}}], "gamma: must be a number"),
        ([{"layers": "x", "rule": "flat", "gamma": 1}], "the rule flat has no such parameter"),
    ],
    "attributor": [(name, ", ".join(ATTRIBUTORS)) for name in ("lime", "")],
    "layer": [("no such layer", "input, "), ("", "input, "), (5, "string")],
    "layers": [
        ("no such layer", "input"),
        ("", "names of layers"),
        (["input", "input"], "once"),
        ([], "names of layers"),
        (5, "separated by commas"),
    ],
    "output": [
        ("picture", ", ".join(OUTPUTS)),
        ("heatmap,", ", ".join(OUTPUTS)),
        ("", ", ".join(OUTPUTS)),
        (["heatmap"], "comma-separated"),
    ],
    "relevance_format": [("npy", "'base64' or 'list'")],
    "channels": [("rgb", "'sum' or 'all'")],
    "cmap": [("jet", ", ".join(COLORMAPS)), ("BWR", ", ".join(COLORMAPS))],
    "size": [
        (15, "greater than or equal to 16"),
        (2049, "less than or equal to 2048"),
        ("big", "integer"),
    ],
    "enlarge": [("cubic", "'nearest' or 'smooth'"), ("", "'nearest' or 'smooth'")],
    "overlay_style": [("lines", "'alpha' or 'contours'")],
    "color_bar": [("maybe", "true or false"), (2, "true or false"), ("", "true or false")],
    "bound": [
        (0, "greater than 0"),
        (-1, "greater than 0"),
        ("nan", "finite"),
        ("inf", "finite"),
        (True, "number, not true"),
    ],
    **{name: bad_values(parameter) for name, parameter in PARAMETERS.items()},
}


SCHEMAS: dict[str, type[BaseModel]] = {"targets": TargetsResponse, "layers": LayersResponse}


def test_every_option_is_in_each_table() -> None:
    options = list(ExplainOptions.model_fields)

    assert list(DEFAULTS) == list(GOOD) == list(BAD) == options


def test_defaults() -> None:
    assert ExplainOptions().model_dump() == DEFAULTS
    assert PredictOptions().model_dump() == {
        name: DEFAULTS[name] for name in PredictOptions.model_fields
    }


@pytest.mark.parametrize("option", GOOD)
def test_good_values(client: httpx.Client, photo: bytes, option: str) -> None:
    for value in GOOD[option]:
        options = {"size": 16, **beside(option), option: value}

        response = send(client, photo, options, form="json")

        assert response.status_code == 200, (value, response.text[:500])
        schema = SCHEMAS.get(option, ExplainResponse) if value is not None else ExplainResponse
        schema.model_validate_json(response.content)


@pytest.mark.parametrize("option", BAD)
def test_bad_values_are_named_with_what_is_allowed(
    client: httpx.Client, photo: bytes, option: str
) -> None:
    for value, allowed in BAD[option]:
        options = {**beside(option), option: value}

        problems = wrong_options(send(client, photo, options, form="json"))

        assert list(problems) == [option], value
        assert allowed in problems[option], value


@pytest.mark.parametrize("option", BAD)
def test_bad_values_are_refused_in_each_form(
    client: httpx.Client, photo: bytes, option: str
) -> None:
    value = BAD[option][0][0]

    for form in FORMS:
        assert list(wrong_options(send(client, photo, {option: value}, form=form))) == [option]


def test_an_empty_field_of_a_form_counts_as_left_out(client: httpx.Client, photo: bytes) -> None:
    nothing = dict.fromkeys(ExplainOptions.model_fields, "")

    assert send(client, photo, nothing, form="multipart").content == send(client, photo).content
    assert set(wrong_options(send(client, photo, nothing, form="json"))) > {"top_k", "output"}
    assert set(wrong_options(send(client, photo, nothing, form="raw"))) > {"top_k", "output"}


@pytest.mark.parametrize("option", list(PredictOptions.model_fields))
def test_predict_checks_its_options_too(client: httpx.Client, photo: bytes, option: str) -> None:
    value, allowed = BAD[option][0]

    problems = wrong_options(send(client, photo, {option: value}, path="/predict"))

    assert list(problems) == [option]
    assert allowed in problems[option]


# --- what options mean


def test_effective_parameters_are_reported(client: httpx.Client, photo: bytes) -> None:
    given = {"epsilon": 0.01, "zero_bias": True, "start": "logit"}

    method = send(client, photo, given).json()["method"]

    assert method == {
        "attributor": "gradient",
        "composite": "epsilon_plus_flat",
        "epsilon": 0.01,
        "stabilizer": 1e-6,
        "zero_bias": True,
        "start": "logit",
        "contrast": None,
        "layer": "input",
        "engine": "twin",
    }


@pytest.mark.parametrize("parameter", PARAMETERS.values(), ids=lambda one: one.name)
def test_giving_a_default_changes_nothing(
    client: httpx.Client, photo: bytes, parameter: Parameter
) -> None:
    context = {**beside(parameter.name), "output": "relevance"}
    plain = send(client, photo, context)
    default = plain.json()["method"][parameter.name]

    given = send(client, photo, {**context, parameter.name: default})

    assert parameter.default in (None, default)
    assert given.content == plain.content


@pytest.mark.parametrize("target", ["3", 3, "cat", "label:cat", "0003"])
def test_a_class_by_index_or_label(client: httpx.Client, photo: bytes, target: str | int) -> None:
    answer = send(client, photo, {"target": target}, form="json").json()

    assert (answer["target"]["index"], answer["target"]["label"]) == (3, "cat")


def test_a_contrast_against_the_target_itself(client: httpx.Client, photo: bytes) -> None:
    problems = wrong_options(send(client, photo, {"target": "dog", "contrast": 5}))

    assert "is the class that is explained" in problems["contrast"]


def test_a_contrast_against_the_predicted_class(client: httpx.Client, photo: bytes) -> None:
    predicted = send(client, photo).json()["target"]["index"]

    problems = wrong_options(send(client, photo, {"contrast": predicted}))

    assert "is the class that is explained" in problems["contrast"]


def test_a_contrast_is_reported_by_its_label(client: httpx.Client, photo: bytes) -> None:
    answer = send(client, photo, {"target": 3, "contrast": 5}).json()

    assert answer["method"]["contrast"] == "dog"
    assert answer["target"]["label"] == "cat"


def test_top_k_beyond_the_classes_gives_all(client: httpx.Client, photo: bytes) -> None:
    answer = send(client, photo, {"top_k": 1000}, path="/predict").json()

    assert len(answer["predictions"]) == 10


def test_parsing_names_every_problem(card: ModelCard) -> None:
    with pytest.raises(OptionError) as raised:
        parse_options(ExplainOptions, {"size": 1, "sise": 1}, {card.name: card})

    assert {problem.option for problem in raised.value.problems} == {"size", "sise"}
