"""The same calls to a real TorchServe and to this service, which serve the same network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.helpers.environments import environment
from tests.helpers.servers import running_server
from tests.helpers.tools import find_tool
from tests.helpers.torchserve import Answer, call_all, running_torchserve

pytestmark = [pytest.mark.ecosystem, pytest.mark.timeout(400)]

Answers = dict[str, Answer]
PREDICTIONS = ("upload", "form", "binary", "post", "version")
REQUIREMENTS = (
    *("torchserve==0.12.0", "torch-model-archiver==0.12.0", "captum==0.9.0"),
    *("torch==2.14.1", "torchvision==0.29.1", "numpy==2.4.6", "setuptools==84.2.1"),
    *("psutil==7.2.2", "pyyaml==6.0.4", "packaging==26.4", "requests==2.34.2"),
)


@pytest.fixture(scope="module")
def theirs(cat: Path, tmp_path_factory: pytest.TempPathFactory) -> Answers:
    """The answers of TorchServe."""
    find_tool("java", "openjdk-17-jre-headless")
    folder = tmp_path_factory.mktemp("torchserve")
    python = environment("torchserve", *REQUIREMENTS)
    with running_torchserve(python, folder) as url:
        return call_all(url, cat, folder / "answers")


@pytest.fixture(scope="module")
def ours(cat: Path, tmp_path_factory: pytest.TempPathFactory) -> Answers:
    """The answers of the service."""
    folder = tmp_path_factory.mktemp("service")
    with running_server(folder) as server:
        return call_all(server.url, cat, folder / "answers")


def test_health_is_the_same(theirs: Answers, ours: Answers) -> None:
    assert theirs["ping"].status == ours["ping"].status == 200
    assert theirs["ping"].json() == ours["ping"].json() == {"status": "Healthy"}
    assert theirs["ping"].content_type == ours["ping"].content_type == "application/json"


@pytest.mark.parametrize("call", PREDICTIONS)
def test_probabilities_are_the_same(theirs: Answers, ours: Answers, call: str) -> None:
    assert theirs[call].status == ours[call].status == 200
    expected, given = theirs[call].json(), ours[call].json()
    assert list(given) == list(expected)  # the same labels in the same order
    assert list(given.values()) == pytest.approx(list(expected.values()), abs=1e-5)


@pytest.mark.parametrize("call", ["no-model", "no-version"])
def test_errors_of_names_are_the_same(theirs: Answers, ours: Answers, call: str) -> None:
    assert theirs[call].status == ours[call].status == 404
    assert theirs[call].content_type == ours[call].content_type == "application/json"
    expected, given = theirs[call].json(), ours[call].json()
    assert (given["code"], given["type"]) == (expected["code"], expected["type"])
    assert given.keys() == expected.keys()


def test_what_is_no_image_is_the_clients_error_here(theirs: Answers, ours: Answers) -> None:
    assert theirs["no-image"].status == 503
    assert ours["no-image"].status == 400
    assert ours["no-image"].json().keys() == theirs["no-image"].json().keys()


@pytest.mark.parametrize("call", ["explanation", "explanation-post"])
def test_explanations_have_the_same_form(theirs: Answers, ours: Answers, call: str) -> None:
    assert theirs[call].status == ours[call].status == 200
    expected, given = np.array(theirs[call].json()), np.array(ours[call].json())
    assert given.shape == expected.shape == (3, 32, 32)
    assert given.dtype == expected.dtype == np.float64


def test_a_target_works_here(theirs: Answers, ours: Answers) -> None:
    assert theirs["explanation-target"].status == 503
    assert ours["explanation-target"].status == 200
    # it is the predicted class, which is the default here
    assert ours["explanation-target"].json() == ours["explanation"].json()
