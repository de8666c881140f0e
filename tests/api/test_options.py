"""Every option: its default, its bounds, and what is said of values that are wrong."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from service import methods
from service.api.options import OUTPUTS, ExplainOptions, PredictOptions, class_index, parse_options
from service.api.schemas import ExplainAnswer
from service.errors import OptionError
from service.imaging.colormaps import COLORMAPS
from service.methods import ATTRIBUTORS, COMPOSITES, EPSILON, LAYERS, STABILIZER
from service.models.card import ModelCard
from tests.api.sending import FORMS, send, wrong_options

# what DESIGN names as defaults
DEFAULTS: dict[str, Any] = {
    "model": None,
    "top_k": 5,
    "fit": "crop",
    "target": None,
    "contrast": None,
    "start": "one_hot",
    "composite": "epsilon_plus_flat",
    "attributor": "gradient",
    "epsilon": None,  # the composite's own
    "stabilizer": None,
    "zero_bias": None,
    "layer": "input",
    "output": ("heatmap",),
    "relevance_format": "base64",
    "channels": "sum",
    "cmap": "bwr",
    "size": 256,
    "bound": None,
}

# option -> values that are taken
GOOD: dict[str, list[Any]] = {
    "model": ["minivgg-cifar10"],
    "top_k": [1, 10, 1000],
    "fit": ["crop", "stretch", "pad"],
    "target": [0, 9, "3", "03", "cat", "label:cat", None],
    "contrast": [0, "truck", "label:truck"],
    "start": ["one_hot", "logit"],
    "composite": list(COMPOSITES),
    "attributor": list(ATTRIBUTORS),
    "epsilon": [EPSILON.minimum, 0.5, EPSILON.maximum],
    "stabilizer": [STABILIZER.minimum, 0.5, STABILIZER.maximum],
    "zero_bias": [True, False, "true", "false"],
    "layer": list(LAYERS),
    "output": [*OUTPUTS, "heatmap,relevance", " overlay , heatmap ", "heatmap,heatmap"],
    "relevance_format": ["base64", "list"],
    "channels": ["sum", "all"],
    "cmap": list(COLORMAPS),
    "size": [16, 2048],
    "bound": [5e-324, 0.02, 1e300],
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
    "start": [("one-hot", "'one_hot' or 'logit'")],
    "composite": [
        (name, ", ".join(COMPOSITES))
        for name in (
            "deconvnet",
            "guided_backprop",
            "excitation_backprop",
            "beta_smooth",
            "epsilon_gamma_box",
            "epsilon_alpha2_beta1",
            "epsilon_alpha2_beta1_flat",
            "lrp",
            "",
        )
    ],
    "attributor": [
        (name, ", ".join(ATTRIBUTORS))
        for name in ("smooth_grad", "integrated_gradients", "occlusion", "")
    ],
    "epsilon": [
        (0, "greater than or equal to 0.000000001"),
        (-1, "greater than or equal to 0.000000001"),
        (1e4, "less than or equal to 1000"),
        ("nan", "finite"),
        ("inf", "finite"),
        ("small", "number"),
        (True, "number, not true"),
    ],
    "stabilizer": [
        (0, "greater than or equal to 0.000000001"),
        (1e4, "less than or equal to 1000"),
    ],
    "zero_bias": [("maybe", "true or false"), (2, "true or false"), ("", "true or false")],
    "layer": [("features.0", "input"), ("output", "input")],
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
    "bound": [
        (0, "greater than 0"),
        (-1, "greater than 0"),
        ("nan", "finite"),
        ("inf", "finite"),
        (True, "number, not true"),
    ],
}

# of the contract, but later: refused like any other unknown option
LATER = ("targets", "gamma", "beta", "n_samples", "noise_level", "seed", "n_steps", "baseline",
         "window", "stride")  # fmt: skip


def test_every_option_is_in_each_table() -> None:
    options = list(ExplainOptions.model_fields)

    assert list(DEFAULTS) == list(GOOD) == list(BAD) == options


def test_defaults() -> None:
    assert ExplainOptions().model_dump() == DEFAULTS
    assert PredictOptions().model_dump() == {
        name: DEFAULTS[name] for name in PredictOptions.model_fields
    }


@pytest.mark.parametrize(
    ("option", "value"), [(name, value) for name, values in GOOD.items() for value in values]
)
def test_good_values(client: httpx.Client, photo: bytes, option: str, value: Any) -> None:
    answer = send(client, photo, {option: value, "size": 16} | {option: value}, form="json")

    assert answer.status_code == 200, answer.text[:500]
    ExplainAnswer.model_validate_json(answer.content)


@pytest.mark.parametrize(
    ("option", "value", "allowed"),
    [(name, value, words) for name, values in BAD.items() for value, words in values],
)
def test_bad_values_are_named_with_what_is_allowed(
    client: httpx.Client, photo: bytes, option: str, value: Any, allowed: str
) -> None:
    problems = wrong_options(send(client, photo, {option: value}, form="json"))

    assert list(problems) == [option]
    assert allowed in problems[option]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("option", BAD)
def test_bad_values_are_bad_in_each_form(
    client: httpx.Client, photo: bytes, option: str, form: str
) -> None:
    value = BAD[option][0][0]

    assert list(wrong_options(send(client, photo, {option: value}, form=form))) == [option]


def test_an_empty_field_of_a_form_is_one_that_was_left_out(
    client: httpx.Client, photo: bytes
) -> None:
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


@pytest.mark.parametrize("option", LATER)
def test_options_that_are_not_there_yet(client: httpx.Client, photo: bytes, option: str) -> None:
    problems = wrong_options(send(client, photo, {option: "1"}))

    assert list(problems) == [option]
    assert "there is no such option; there are: image, model" in problems[option]


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
        "engine": method["engine"],
    }


@pytest.mark.parametrize("composite", COMPOSITES)
def test_only_parameters_of_the_composite_are_taken(
    client: httpx.Client, photo: bytes, composite: str
) -> None:
    own = [parameter.name for parameter in COMPOSITES[composite].parameters]
    values: dict[str, Any] = {"epsilon": 1e-3, "stabilizer": 1e-3, "zero_bias": True}

    for name, value in values.items():
        answer = send(client, photo, {"composite": composite, name: value})
        if name in own:
            assert answer.json()["method"][name] == value
        else:
            assert f"composite {composite} has no such" in wrong_options(answer)[name]


@pytest.mark.parametrize("parameter", [EPSILON, STABILIZER, methods.ZERO_BIAS])
def test_giving_a_default_changes_nothing(
    client: httpx.Client, photo: bytes, parameter: methods.Parameter
) -> None:
    given = send(client, photo, {parameter.name: parameter.default})

    assert given.content == send(client, photo).content


@pytest.mark.parametrize("asked", ["3", 3, "cat", "label:cat", "0003"])
def test_a_class_by_index_or_label(client: httpx.Client, photo: bytes, asked: str | int) -> None:
    answer = send(client, photo, {"target": asked}, form="json").json()

    assert (answer["target"]["index"], answer["target"]["label"]) == (3, "cat")


def with_labels(card: ModelCard, *labels: str) -> ModelCard:
    return card.model_copy(update={"labels": labels})


def test_a_label_of_digits_has_to_be_forced(card: ModelCard) -> None:
    digits = with_labels(card, "1", "0", "label:0", "seven")

    assert class_index("target", "0", digits) == 0
    assert class_index("target", "label:0", digits) == 1
    assert class_index("target", "label:label:0", digits) == 2
    assert class_index("target", "seven", digits) == 3
    assert class_index("target", None, digits) is None


def test_of_many_labels_an_error_shows_some(card: ModelCard) -> None:
    many = with_labels(card, *(f"class {n}" for n in range(1000)))

    with pytest.raises(OptionError, match=r"below 1000, or one of: class 0, .*class 19, \.\.\.$"):
        class_index("target", "dog", many)


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
        parse_options(ExplainOptions, {"size": 1, "sise": 1}, card)

    assert {problem.option for problem in raised.value.problems} == {"size", "sise"}
