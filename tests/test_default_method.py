"""A model's default method explains requests that name no method, by whichever way they come."""

from __future__ import annotations

import base64
import io
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from lrpserve_client import Client
from service.batch.explainer import load_engine
from service.commands.__main__ import run
from service.methods import DEFAULT_COMPOSITE
from service.models.card import read_card, write_card
from service.models.evidence import DefaultMethod
from service.ray.actors import ExplainActor
from service.runtime.engine import Engine
from service.settings import Settings
from tests.api.protocols.open_inference_requests import files, request_of, tensors
from tests.helpers.grpc_calls import call, channel_to, infer_fields
from tests.helpers.servers import (
    RunningServer,
    assert_one_sentence,
    copy_bundle,
    run_to_the_end,
    running_server,
)
from tests.helpers.sockets import free_port

MODEL, DEFAULT = "advised", "epsilon_gamma_box"
Options = Mapping[str, Any]


@dataclass(frozen=True)
class Served:
    """A server of the model, its port of gRPC, its engine in this process, and an image."""

    server: RunningServer
    grpc_port: int
    engine: Engine
    bundle: Path
    image: Path
    folder: Path  # for files

    @property
    def content(self) -> bytes:
        """The file of the image."""
        return self.image.read_bytes()

    @property
    def text(self) -> str:
        """The same in base64."""
        return base64.b64encode(self.content).decode()

    def post(self, path: str, **content: Any) -> httpx.Response:
        """Send a request that succeeds."""
        response = httpx.post(f"{self.server.url}{path}", timeout=60, **content)
        assert response.status_code == 200, response.text[:500]
        return response


@dataclass(frozen=True)
class Answer:
    """What was computed, and the composite that the response names, where it names one."""

    relevance: NDArray[np.float32]
    composite: str | None


Ask = Callable[[Served, Options], Answer]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped network with a default method of its own."""
    folder = copy_bundle(tmp_path_factory.mktemp("models") / MODEL, name=MODEL)
    method = DefaultMethod(composite=DEFAULT)
    write_card(folder, read_card(folder).model_copy(update={"default_method": method}))
    return folder


@pytest.fixture(scope="module")
def served(bundle: Path, cat: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder, port = tmp_path_factory.mktemp("served"), free_port()
    settings = {"LRPSERVE_MODEL": str(bundle), "LRPSERVE_GRPC_PORT": str(port)}
    engine = load_engine(Settings(model=str(bundle)), 1)
    with running_server(folder, settings) as server:
        yield Served(server, port, engine, bundle, cat, folder)


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch, served: Served) -> None:
    """What runs in this process shares an engine, as loading takes seconds."""
    for module in ("commands.local", "commands.batch", "batch.explainer"):
        monkeypatch.setattr(
            f"service.{module}.{load_engine.__name__}", lambda settings, n_images: served.engine
        )


# --- the ways


def array_of(fields: Mapping[str, Any]) -> NDArray[np.float32]:
    """The relevance of a response in JSON."""
    data = base64.b64decode(fields["data"])
    return np.frombuffer(data, fields["dtype"]).reshape(fields["shape"])


def answer_of(fields: Mapping[str, Any]) -> Answer:
    return Answer(array_of(fields["relevance"]), fields["method"]["composite"])


def by_json(served: Served, options: Options, output: str = "relevance") -> Answer:
    body = {"image": served.text, "output": output, **options}
    return answer_of(served.post("/explain", json=body).json())


def by_multipart(served: Served, options: Options) -> Answer:
    fields = {"output": "relevance", **options}
    response = served.post("/explain", data=fields, files={"image": served.content})
    return answer_of(response.json())


def by_bytes_as_npy(served: Served, options: Options) -> Answer:
    headers = {"Content-Type": "image/jpeg", "Accept": "application/x-npy"}
    response = served.post("/explain", content=served.content, params=options, headers=headers)
    method = json.loads(response.headers["x-explanation"])["method"]
    return Answer(np.load(io.BytesIO(response.content)), method["composite"])


def by_several_images(served: Served, options: Options) -> Answer:
    body = {"images": [served.text] * 2, "output": "relevance", **options}
    first, second = map(answer_of, served.post("/explain", json=body).json()["results"])
    assert first.composite == second.composite
    return first


def by_layers(served: Served, options: Options) -> Answer:
    body = {"image": served.text, "output": "relevance", "layers": "all", **options}
    fields = served.post("/explain", json=body).json()
    layers = {layer["layer"]: layer for layer in fields["layers"]}
    relevance = [array_of(layers[name]["relevance"]).ravel() for name in ("input", "features.5")]
    return Answer(np.concatenate(relevance), fields["method"]["composite"])


def by_kserve(served: Served, options: Options) -> Answer:
    body = {"instances": [{"image": served.text, "output": "relevance", **options}]}
    response = served.post(f"/v1/models/{MODEL}:explain", json=body)
    return answer_of(response.json()["explanations"][0])


def by_open_inference(served: Served, options: Options) -> Answer:
    body = request_of(files(served.content), ["relevance", "explanation"], **options)
    found = tensors(served.post(f"/v2/models/{MODEL}/infer", json=body))
    method = json.loads(found["explanation"][0])["method"]
    return Answer(found["relevance"][0], method["composite"])


def by_grpc(served: Served, options: Options) -> Answer:
    parameters = {name: {"string_param": value} for name, value in options.items()}
    names = ("relevance", "explanation")
    fields = infer_fields(served.content, *names, model_name=MODEL, parameters=parameters)
    with channel_to(served.grpc_port) as channel:
        relevance, text = call(channel, "ModelInfer", **fields).raw_output_contents
    method = json.loads(text[4:])["method"]
    return Answer(np.frombuffer(relevance, "<f4"), method["composite"])


def by_torchserve(served: Served, options: Options) -> Answer:
    response = served.post(f"/explanations/{MODEL}", content=served.content, params=options)
    return Answer(np.array(response.json(), np.float32), None)


def by_client(served: Served, options: Options) -> Answer:
    with Client(served.server.url) as client:
        found = client.explain(served.image, targets=None, **options)
    assert found.relevance is not None
    return Answer(found.relevance, found.method["composite"])


def by_command(served: Served, options: Options) -> Answer:
    out = served.folder / "-".join(("out", *options.values()))
    lrpserve("explain", served.image, "-o", out, "--output", "relevance", *flags(options))
    method = json.loads((out / f"{served.image.stem}.json").read_bytes())["method"]
    return Answer(np.load(out / f"{served.image.stem}.npy"), method["composite"])


def by_batch_job(served: Served, options: Options) -> Answer:
    listed = served.folder / "images.txt"
    listed.write_text(f"{served.image}\n", encoding="utf-8")
    out = served.folder / "-".join(("rows", *options.values(), ".parquet"))
    lrpserve("explain", "--input", listed, "--output", out, *flags(options))
    return row_answer(pq.read_table(out))


def by_ray_data(served: Served, options: Options) -> Answer:
    actor = ExplainActor(Settings(), {"output": "relevance", **options}, 1)
    return row_answer(actor(pa.table({"path": [str(served.image)]})))


def row_answer(table: pa.Table) -> Answer:
    (row,) = table.to_pylist()
    return Answer(np.array(row["relevance"], np.float32), json.loads(row["method"])["composite"])


def flags(options: Options) -> Iterator[str]:
    for name, value in options.items():
        yield from (f"--{name}", value)


def lrpserve(*arguments: object) -> None:
    """Run a command that succeeds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["lrpserve", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            run()
    assert not ended.value.code


WAYS: Mapping[str, Ask] = {
    "json": by_json,
    "multipart": by_multipart,
    "bytes-as-npy": by_bytes_as_npy,
    "several-images": by_several_images,
    "layers": by_layers,
    "evidence": partial(by_json, output="relevance,evidence"),
    "kserve": by_kserve,
    "open-inference": by_open_inference,
    "grpc": by_grpc,
    "torchserve": by_torchserve,
    "client": by_client,
    "command": by_command,
    "batch-job": by_batch_job,
    "ray-data": by_ray_data,
}


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize("ask", WAYS.values(), ids=WAYS)
def test_it_explains_where_no_method_is_named(served: Served, ask: Ask) -> None:
    unnamed, named = ask(served, {}), ask(served, {"composite": DEFAULT})
    other = ask(served, {"composite": DEFAULT_COMPOSITE})
    limit = 1e-5 * np.abs(named.relevance).max()
    np.testing.assert_allclose(unnamed.relevance, named.relevance, rtol=0, atol=limit)
    assert np.abs(unnamed.relevance - other.relevance).max() > 100 * limit
    if unnamed.composite is not None:
        composites = [one.composite for one in (unnamed, named, other)]
        assert composites == [DEFAULT, DEFAULT, DEFAULT_COMPOSITE]


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize("ask", WAYS.values(), ids=WAYS)
def test_an_attributor_that_is_named_has_the_composite_of_the_service(
    served: Served, ask: Ask
) -> None:
    by_attributor = ask(served, {"attributor": "gradient"})
    other = ask(served, {"composite": DEFAULT_COMPOSITE})
    limit = 1e-5 * np.abs(other.relevance).max()
    np.testing.assert_allclose(by_attributor.relevance, other.relevance, rtol=0, atol=limit)


def test_models_show_it(served: Served) -> None:
    shown = httpx.get(f"{served.server.url}/models/{MODEL}").json()["default_method"]
    assert shown == {"composite": DEFAULT, "attributor": None}
    with Client(served.server.url) as client:
        assert client.model(MODEL).card["default_method"] == shown


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"default_method": {"composite": "magic"}}, "unknown composite, 'magic'"),
        ({"default_method": {"attributor": "magic"}}, "unknown attributor, 'magic'"),
        (
            {
                "default_method": {"composite": "mine"},
                "composites": {"mine": [{"layers": "head", "rule": "epsilon"}]},
            },
            "no layer is called head",
        ),
    ],
)
def test_one_that_is_not_there_or_does_not_fit_is_refused(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    folder = copy_bundle(tmp_path / MODEL, name=MODEL, **changes)
    done = run_to_the_end({"LRPSERVE_MODEL": str(folder)})
    assert_one_sentence(done, "default_method", said, "or remove")
