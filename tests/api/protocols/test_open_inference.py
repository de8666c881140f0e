"""`infer` of the Open Inference Protocol over HTTP: tensors in, tensors out."""

from __future__ import annotations

import base64
import gzip
import io
import json
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from service.api.protocols.open_inference.http_messages import LENGTH_HEADER
from service.api.protocols.open_inference.plan import DEFAULT_OUTPUTS, OUTPUTS
from service.runtime.jobs import ExplainJob, PredictJob
from service.settings import DEFAULT_MODEL, Settings
from tests.api.in_process import Connection, FakeEngine, connect, explain
from tests.api.protocols.open_inference_requests import (
    INFER,
    elements,
    files,
    infer,
    pixels,
    request_of,
    send,
    split,
    tensors,
)

NOISE = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture(scope="module")
def connection(engine: FakeEngine) -> Iterator[Connection]:
    with connect(Settings(), engine) as made:
        yield made


def png(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_request_that_names_no_outputs_gets_them_all(
    connection: Connection, photo: bytes
) -> None:
    outputs = tensors(infer(connection, files(photo)))
    assert tuple(outputs) == DEFAULT_OUTPUTS
    assert outputs["scores"].shape == outputs["logits"].shape == (1, 10)
    assert outputs["scores"].sum() == pytest.approx(1)
    assert outputs["relevance"].shape == (1, 32, 32)
    assert outputs["heatmap"].shape == (1, 256, 256, 3)
    assert json.loads(outputs["explanation"][0])["conservation"]["start"] == 1.0


def test_outputs_are_those_of_the_own_wire(connection: Connection, photo: bytes) -> None:
    own = explain(connection, photo, output="heatmap,relevance", size=64, target="cat").json()
    outputs = tensors(infer(connection, files(photo), OUTPUTS, size=64, target="cat"))
    relevance = np.frombuffer(base64.b64decode(own["relevance"]["data"]), "<f4").reshape(32, 32)
    np.testing.assert_array_equal(outputs["relevance"][0], relevance)
    assert outputs["heatmap_png"] == [own["heatmap"]]
    image = Image.open(io.BytesIO(base64.b64decode(own["heatmap"]))).convert("RGB")
    np.testing.assert_array_equal(outputs["heatmap"][0], np.asarray(image))
    explanation = json.loads(outputs["explanation"][0])
    assert explanation == {name: own[name] for name in own if name not in ("heatmap", "relevance")}
    best = int(outputs["logits"][0].argmax())
    assert own["predictions"][0]["index"] == best
    assert own["predictions"][0]["probability"] == pytest.approx(outputs["scores"][0, best])


@pytest.mark.parametrize("enlarge", ["nearest", "smooth"])
def test_a_heatmap_has_the_pixels_of_its_png(
    connection: Connection, photo: bytes, enlarge: str
) -> None:
    outputs = tensors(
        infer(connection, files(photo), ["heatmap", "heatmap_png"], enlarge=enlarge, size=48)
    )
    content = base64.b64decode(outputs["heatmap_png"][0])
    shown = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    np.testing.assert_array_equal(outputs["heatmap"][0], shown)


def test_a_request_for_no_relevance_is_a_prediction(
    connection: Connection, engine: FakeEngine, photo: bytes
) -> None:
    engine.jobs.clear()
    outputs = tensors(infer(connection, files(photo), ["scores", "logits"], target="cat"))
    assert set(outputs) == {"scores", "logits"}
    assert [type(job) for job in engine.jobs] == [PredictJob]
    infer(connection, files(photo), ["explanation"])
    assert [type(job) for job in engine.jobs] == [PredictJob, ExplainJob]


@pytest.mark.parametrize("is_flat", [True, False])
def test_pixels_are_images(connection: Connection, engine: FakeEngine, is_flat: bool) -> None:
    engine.jobs.clear()
    infer(connection, pixels(NOISE, is_flat=is_flat), ["scores"])
    infer(connection, files(*map(png, NOISE)), ["scores"])
    seen = [job.pixels for job in engine.jobs]
    np.testing.assert_array_equal(seen[:2], NOISE)
    np.testing.assert_array_equal(seen[2:], NOISE)


def test_binary_tensors_both_ways(connection: Connection, photo: bytes) -> None:
    raw = elements(photo, png(NOISE[0]))
    tensor: dict[str, Any] = {"name": "image", "datatype": "BYTES", "shape": [2]}
    tensor["parameters"] = {"binary_data_size": len(raw)}
    in_json = tensors(infer(connection, files(photo, png(NOISE[0])), OUTPUTS))
    answer = send(connection, request_of(tensor, OUTPUTS, binary_data_output=True), raw)
    outputs = tensors(answer)
    assert tuple(outputs) == OUTPUTS
    for name in ("scores", "logits", "relevance", "heatmap"):
        np.testing.assert_array_equal(outputs[name], in_json[name])
    pngs = [base64.b64encode(content).decode() for content in outputs["heatmap_png"]]
    assert pngs == in_json["heatmap_png"]
    assert [content.decode() for content in outputs["explanation"]] == in_json["explanation"]


def test_binary_pixels(connection: Connection, engine: FakeEngine) -> None:
    engine.jobs.clear()
    tensor: dict[str, Any] = {"name": "image", "datatype": "UINT8", "shape": [2, 32, 32, 3]}
    tensor["parameters"] = {"binary_data_size": NOISE.size}
    tensors(send(connection, request_of(tensor, ["scores"]), NOISE.tobytes()))
    np.testing.assert_array_equal([job.pixels for job in engine.jobs], NOISE)


def test_each_output_may_be_binary_or_not(connection: Connection, photo: bytes) -> None:
    outputs: list[Any] = [
        {"name": "scores", "parameters": {"binary_data": False}},
        {"name": "logits"},
        {"name": "relevance", "parameters": {"binary_data": True}},
    ]
    answer = infer(connection, files(photo), outputs, binary_data_output=True)
    length = int(answer.headers[LENGTH_HEADER])
    entries = json.loads(answer.content[:length])["outputs"]
    assert ["data" in entry for entry in entries] == [True, False, False]
    assert set(tensors(answer)) == {"scores", "logits", "relevance"}


def test_an_image_file_alone_is_a_body(connection: Connection, photo: bytes) -> None:
    answer = connection.request("POST", INFER, content=photo, headers={LENGTH_HEADER: "0"})
    assert tuple(tensors(answer)) == DEFAULT_OUTPUTS


@pytest.mark.parametrize(
    ("coding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)]
)
def test_the_length_counts_bytes_without_the_coding(
    connection: Connection, photo: bytes, coding: str, compress: type
) -> None:
    raw = elements(photo)
    tensor: dict[str, Any] = {"name": "image", "datatype": "BYTES", "shape": [1]}
    tensor["parameters"] = {"binary_data_size": len(raw)}
    head = json.dumps(request_of(tensor, ["scores"])).encode()
    headers = {LENGTH_HEADER: str(len(head)), "Content-Encoding": coding}
    answer = connection.request("POST", INFER, content=compress(head + raw), headers=headers)
    assert tensors(answer)["scores"].shape == (1, 10)


def test_the_response_has_the_id_and_the_names(connection: Connection, photo: bytes) -> None:
    fields = request_of(files(photo), ["scores"]) | {"id": "7", "model_name": "other", "more": 1}
    answer = send(connection, fields, path=f"/v2/models/{DEFAULT_MODEL}/versions/1/infer").json()
    assert (answer["id"], answer["model_name"], answer["model_version"]) == (
        *("7", DEFAULT_MODEL),
        "1",
    )
    card = connection.app_state.card()
    assert answer["parameters"] == {"model_sha256": card.sha256}
    assert "id" not in infer(connection, files(photo), ["scores"]).json()


def test_reserved_parameters_and_unknown_fields_pass(connection: Connection, photo: bytes) -> None:
    reserved: dict[str, Any] = {
        "sequence_id": 3,
        "sequence_start": True,
        "sequence_end": False,
        "priority": 1,
        "timeout": 5_000_000,
        "headers": "x",
        "triton_enable_empty_final_response": True,
        "content_type": "np",
    }
    tensor = files(photo) | {"parameters": {"content_type": "base64"}, "own": [1]}
    outputs: list[Any] = [{"name": "scores", "own": 1, "parameters": {"own": "x"}}]
    assert set(tensors(infer(connection, tensor, outputs, **reserved))) == {"scores"}


def test_lists_are_json_text(connection: Connection, engine: FakeEngine, photo: bytes) -> None:
    engine.jobs.clear()
    rules = json.dumps([{"layers": "Linear", "rule": "epsilon"}])
    outputs = tensors(
        infer(
            *(connection, files(photo), ["relevance", "heatmap_png", "explanation"]),
            targets='["cat", 5]',
            composite=rules,
        )
    )
    (job,) = engine.jobs
    assert isinstance(job, ExplainJob)
    assert job.targets == (3, 5)
    assert outputs["relevance"].shape == (1, 2, 32, 32)
    assert len(outputs["heatmap_png"]) == 2
    labels = [
        one["target"]["label"] for one in json.loads(outputs["explanation"][0])["explanations"]
    ]
    assert labels == ["cat", "dog"]


def test_classification_names_the_best_classes(connection: Connection, photo: bytes) -> None:
    labels = connection.app_state.card().labels
    outputs: list[Any] = [
        {"name": "scores", "parameters": {"classification": 3}},
        {"name": "logits"},
    ]
    found = tensors(infer(connection, files(photo, photo), outputs))
    best = np.argsort(-found["logits"][0])[:3]
    assert [text.split(":")[1:] for text in found["scores"][:3]] == [
        [str(index), labels[index]] for index in best
    ]
    values = [float(text.split(":")[0]) for text in found["scores"][:3]]
    assert values == sorted(values, reverse=True)
    outputs[0]["parameters"] = {"classification": 99, "binary_data": True}
    answer = infer(connection, files(photo), outputs)
    length = int(answer.headers[LENGTH_HEADER])
    assert len(split(answer.content[length:])) == len(labels)


def test_a_layer_without_rows_has_no_heatmap(connection: Connection, photo: bytes) -> None:
    outputs = tensors(infer(connection, files(photo), layer="classifier"))
    assert "heatmap" not in outputs
    assert outputs["relevance"].shape == (1, 12)


def test_channels_are_kept(connection: Connection, photo: bytes) -> None:
    outputs = tensors(infer(connection, files(photo), ["relevance"], channels="all"))
    assert outputs["relevance"].shape == (1, 3, 32, 32)
