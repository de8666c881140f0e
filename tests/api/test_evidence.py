"""`output=evidence`: whether an explanation is right about its image, on every wire."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from service.api.request.accept import NPY, PNG
from service.api.response.evidence_schemas import EXAMPLE, ExplanationEvidence
from service.api.response.result_schemas import ExplainResults
from service.api.response.schemas import ExplainResponse, TargetsResponse
from service.settings import Settings
from tests.api.in_process import Connection, FakeEngine, connect, explain, explain_as
from tests.api.sending import FORMS, send, wrong_options

EVIDENCE = {"output": "evidence"}


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


@pytest.fixture(scope="module")
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture(scope="module")
def served(engine: FakeEngine) -> Iterator[Connection]:
    with connect(Settings(), engine) as connection:
        yield connection


# --- with the shipped model, in a process of its own


@pytest.mark.parametrize("form", FORMS)
def test_it_says_whether_the_map_is_right(client: httpx.Client, photo: bytes, form: str) -> None:
    response = send(client, photo, {"output": "heatmap,evidence"}, form=form)
    assert response.status_code == 200, response.text
    found = ExplainResponse.model_validate_json(response.content)
    assert found.heatmap is not None
    assert found.evidence is not None
    assert found.evidence.verdict == "supported"
    deletion = found.evidence.deletion
    assert deletion.patch == 4
    assert deletion.hidden == [step / 8 for step in range(9)]
    assert deletion.most_relevant_first[0] == pytest.approx(found.target.probability, abs=1e-5)
    assert deletion.most_relevant_first[2] < deletion.random.mean[2]
    assert deletion.random.mean[2] < deletion.least_relevant_first[2]
    assert found.evidence.text.startswith("Hiding the most relevant quarter of the image takes cat")
    assert 0.5 < (found.evidence.stability.mean or 0) < 1
    assert found.evidence.n_forwards == 75


def test_the_same_request_has_the_same_evidence(client: httpx.Client, photo: bytes) -> None:
    first, second = (send(client, photo, EVIDENCE).json()["evidence"] for _ in range(2))
    assert first == second


def test_each_target_and_each_image_has_its_own(client: httpx.Client, photo: bytes) -> None:
    options = {"targets": ["cat", "dog"], **EVIDENCE}
    response = send(client, photo, options, form="json")
    found = TargetsResponse.model_validate_json(response.content)
    assert all(one.evidence for one in found.explanations)
    assert " cat from " in response.json()["explanations"][0]["evidence"]["text"]
    assert " dog from " in response.json()["explanations"][1]["evidence"]["text"]
    results = client.post("/explain", files=[("image", photo)] * 2, data=EVIDENCE)
    ExplainResults.model_validate_json(results.content)
    first, second = (one["evidence"] for one in results.json()["results"])
    assert first == second == send(client, photo, EVIDENCE).json()["evidence"]


def test_a_contrast_is_judged_on_the_difference(client: httpx.Client, photo: bytes) -> None:
    response = send(client, photo, {"target": "cat", "contrast": "dog", "top_k": 10} | EVIDENCE)
    body = response.json()
    share = {one["label"]: one["probability"] for one in body["predictions"]}
    pair = share["cat"] / (share["cat"] + share["dog"])
    assert body["evidence"]["deletion"]["most_relevant_first"][0] == pytest.approx(pair, abs=1e-5)
    assert " cat rather than dog from " in body["evidence"]["text"]


@pytest.mark.parametrize(
    "path", ["/v1/models/minivgg-cifar10:explain", "/explanations/minivgg-cifar10"]
)
def test_other_protocols_pass_it_on(client: httpx.Client, photo: bytes, path: str) -> None:
    own = send(client, photo, EVIDENCE).json()["evidence"]
    if path.startswith("/v1"):
        instances = [{"image": {"b64": _base64(photo)}}]
        body = client.post(path, json={"instances": instances, "parameters": EVIDENCE}).json()
        assert body["explanations"][0]["evidence"] == own
    else:
        assert client.post(path, content=photo, params=EVIDENCE).json()["evidence"] == own


def test_open_inference_has_it_as_an_output(client: httpx.Client, photo: bytes) -> None:
    image = {"name": "image", "datatype": "BYTES", "shape": [1], "data": [_base64(photo)]}
    body: dict[str, Any] = {"inputs": [image], "outputs": [{"name": "evidence"}]}
    path = "/v2/models/minivgg-cifar10/infer"
    (output,) = client.post(path, json=body).json()["outputs"]
    assert json.loads(output["data"][0]) == send(client, photo, EVIDENCE).json()["evidence"]
    body["parameters"] = {"targets": '["cat", "dog"]'}
    (output,) = client.post(path, json=body).json()["outputs"]
    assert [" dog from " in one["text"] for one in json.loads(output["data"][0])] == [False, True]
    body["outputs"] = []
    names = [one["name"] for one in client.post(path, json=body).json()["outputs"]]
    assert "explanation" in names
    assert "evidence" not in names


# --- what is refused, and what it costs


@pytest.mark.parametrize("accept", [PNG, NPY])
def test_it_fits_into_json_only(served: Connection, photo: bytes, accept: str) -> None:
    response = explain_as(accept, served, photo, **EVIDENCE)
    assert wrong_options(response) == {
        "output": "evidence fits into JSON only: accept application/json"
    }


@pytest.mark.parametrize(
    ("options", "option", "said"),
    [
        ({"layers": "all"}, "layers", "evidence is about one map: give one `layer`"),
        ({"layer": "classifier"}, "output", "has no rows and columns"),
        ({"attributor": "occlusion"}, "output", "would be tested with itself"),
    ],
)
def test_it_is_refused_where_it_has_no_meaning(
    served: Connection, photo: bytes, options: dict[str, Any], option: str, said: str
) -> None:
    problems = wrong_options(explain(served, photo, **options, **EVIDENCE))
    assert list(problems) == [option]
    assert said in problems[option]


def test_a_layer_with_rows_and_columns_has_it(served: Connection, photo: bytes) -> None:
    assert explain(served, photo, layer="features.0", **EVIDENCE).status_code == 200


@pytest.mark.parametrize(
    ("max_passes", "options", "said"),
    [
        (75, {}, "takes 76 passes through the network (targets, and evidence)"),
        (76, {}, None),
        (255, {"attributor": "smooth_grad", "n_samples": 40}, "leave evidence out"),
    ],
)
def test_its_passes_count(
    photo: bytes, max_passes: int, options: dict[str, Any], said: str | None
) -> None:
    with connect(Settings(max_passes=max_passes), FakeEngine()) as connection:
        response = explain(connection, photo, **options, **EVIDENCE)
        assert explain(connection, photo, **options).status_code == 200
    if said is None:
        assert response.status_code == 200
    else:
        assert said in next(iter(wrong_options(response).values()))


def test_the_cache_keeps_it_apart(photo: bytes) -> None:
    with connect(Settings(cache_bytes=1 << 20), FakeEngine()) as connection:
        plain = explain(connection, photo).json()
        with_evidence = explain(connection, photo, output="heatmap,evidence").json()
        again = explain(connection, photo, output="heatmap,evidence").json()
    assert "evidence" not in plain
    assert with_evidence == again
    assert with_evidence["evidence"]["verdict"] == "supported"


def test_only_those_who_ask_pay_for_it(
    served: Connection, engine: FakeEngine, photo: bytes
) -> None:
    engine.jobs.clear()
    explain(served, photo)
    explain(served, photo, output="relevance,evidence")
    assert [job.n_passes for job in engine.jobs] == [1, 76]


def test_the_example_of_the_document_is_valid() -> None:
    ExplanationEvidence.model_validate(EXAMPLE)
    assert json.loads(json.dumps(EXAMPLE)) == EXAMPLE
