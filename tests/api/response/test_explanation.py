from __future__ import annotations

import base64
import io
import json
import math
import re
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from service.api.response.schemas import ExplainResponse, PredictResponse
from service.imaging.colormaps import COLORMAPS, color_table
from service.methods import COMPOSITES
from service.models.card import ModelCard
from tests.api.sending import send
from tests.helpers.pictures import encode, noise, smooth_photo

Floats = NDArray[np.float32]
# accepts a stage of `Server-Timing`: a name and milliseconds
STAGE = re.compile(r"([a-z]+);dur=(\d+\.\d+)")


def explain(client: httpx.Client, photo: bytes, **options: Any) -> ExplainResponse:
    answer = send(client, photo, options)
    assert answer.status_code == 200, answer.text[:500]
    return ExplainResponse.model_validate_json(answer.content)


def picture_of(text: str | None) -> NDArray[np.uint8]:
    assert text is not None
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB"))


def relevance_of(answer: ExplainResponse) -> Floats:
    assert answer.relevance is not None
    assert isinstance(answer.relevance.data, str)
    values = np.frombuffer(base64.b64decode(answer.relevance.data), "<f4")
    return values.reshape(answer.relevance.shape)


# --- the fields


def test_probabilities_are_the_softmax_of_the_logits(
    client: httpx.Client, photo: bytes, card: ModelCard
) -> None:
    answer = PredictResponse.model_validate_json(
        send(client, photo, {"top_k": 10}, path="/predict").content
    )

    scores = answer.predictions
    exponentials = np.exp([score.logit for score in scores])
    assert [score.label for score in scores] == [card.labels[score.index] for score in scores]
    assert sorted(score.index for score in scores) == list(range(10))
    assert scores == sorted(scores, key=lambda score: -score.logit)
    assert sum(score.probability for score in scores) == pytest.approx(1)
    assert [score.probability for score in scores] == pytest.approx(
        list(exponentials / exponentials.sum()), rel=1e-6
    )
    assert (answer.model, answer.model_sha256) == (card.name, card.sha256)


def test_predict_and_explain_agree(client: httpx.Client, photo: bytes) -> None:
    predicted = PredictResponse.model_validate_json(send(client, photo, path="/predict").content)

    explained = explain(client, photo)

    assert predicted.predictions == explained.predictions
    assert predicted.image.model_dump() == explained.image.model_dump(exclude_none=True)
    assert explained.target == explained.predictions[0]


@pytest.mark.parametrize("top_k", [1, 3, 5])
def test_top_k(client: httpx.Client, photo: bytes, top_k: int) -> None:
    best = explain(client, photo, top_k=10).predictions

    assert explain(client, photo, top_k=top_k).predictions == best[:top_k]


@pytest.mark.parametrize("output", ["heatmap", "overlay", "relevance", "relevance,overlay"])
def test_the_response_has_what_output_names(
    client: httpx.Client, photo: bytes, output: str
) -> None:
    fields = send(client, photo, {"output": output}).json()

    assert {"heatmap", "overlay", "relevance"} & set(fields) == set(output.split(","))


# --- conservation


@pytest.mark.parametrize("composite", ["epsilon_plus_flat", "epsilon_plus"])
@pytest.mark.parametrize("start", ["one_hot", "logit"])
def test_the_ratio_is_arrived_over_start(
    client: httpx.Client, photo: bytes, composite: str, start: str
) -> None:
    answer = explain(
        client, photo, composite=composite, start=start, output="relevance", channels="all"
    )

    found = answer.conservation
    assert found.start == pytest.approx(1 if start == "one_hot" else answer.target.logit)
    assert found.arrived == pytest.approx(relevance_of(answer).sum(dtype=np.float64))
    assert found.ratio == found.arrived / found.start


def test_a_contrast_of_ones_starts_with_nothing(client: httpx.Client, photo: bytes) -> None:
    found = explain(client, photo, target="cat", contrast="dog", start="one_hot").conservation

    assert found.start == 0
    assert found.ratio is None


def test_a_contrast_of_logits_starts_with_their_difference(
    client: httpx.Client, photo: bytes
) -> None:
    answer = explain(client, photo, target="cat", contrast="dog", top_k=10)
    dog = next(score.logit for score in answer.predictions if score.label == "dog")

    assert answer.conservation.start == pytest.approx(answer.target.logit - dog, abs=1e-6)
    assert answer.conservation.ratio is not None


@pytest.mark.parametrize("composite", COMPOSITES)
@pytest.mark.parametrize("attributor", ["gradient", "smooth_grad"])
@pytest.mark.parametrize("target", ["cat", "airplane"])
def test_the_account_adds_up(
    client: httpx.Client, photo: bytes, composite: str, attributor: str, target: str
) -> None:
    options = {"composite": composite, "attributor": attributor, "target": target}
    answer = explain(client, photo, output="relevance", **options)
    found, relevance = answer.conservation, relevance_of(answer).astype(np.float64)

    assert found.positive == pytest.approx(relevance[relevance > 0].sum())
    assert found.negative == pytest.approx(relevance[relevance < 0].sum())
    assert found.arrived == found.positive + found.negative
    if not COMPOSITES[composite].conserves:
        assert found.absorbed is None
        return
    assert found.absorbed is not None
    assert found.positive + found.negative + found.absorbed == pytest.approx(found.start)


@pytest.mark.parametrize("composite", COMPOSITES)
def test_the_default_start_depends_on_the_composite(
    client: httpx.Client, photo: bytes, composite: str
) -> None:
    answer = explain(client, photo, composite=composite, target="airplane")

    default = "logit" if composite.startswith("epsilon_") else "one_hot"
    assert answer.method.start == default
    assert answer.target.logit < 0
    start = answer.target.logit if default == "logit" else 1
    assert answer.conservation.start == pytest.approx(start)


@pytest.mark.parametrize("start", ["one_hot", "logit"])
def test_either_start_can_be_asked_for(client: httpx.Client, photo: bytes, start: str) -> None:
    found = [explain(client, photo, composite=one, start=start) for one in ("none", "epsilon_plus")]

    assert [one.method.start for one in found] == [start, start]


def test_rules_of_the_request_have_the_default_start_of_their_last_layer(
    client: httpx.Client, photo: bytes
) -> None:
    lists = [json.dumps([{"layers": "type:linear", "rule": rule}]) for rule in ("epsilon", "zplus")]
    starts = [explain(client, photo, composite=rules).method.start for rules in lists]

    assert starts == ["logit", "one_hot"]


def test_smooth_grad_starts_each_sample_with_its_own_logit(
    client: httpx.Client, photo: bytes
) -> None:
    options = {"attributor": "smooth_grad", "noise_level": 0.3, "zero_bias": "true"}
    answer = explain(client, photo, **options)

    assert answer.conservation.start != pytest.approx(answer.target.logit, rel=1e-3)
    assert answer.conservation.ratio == pytest.approx(1, abs=1e-3)


def test_a_gradient_does_not_conserve(client: httpx.Client, photo: bytes) -> None:
    found = explain(client, photo, composite="none").conservation

    assert found.start == 1
    assert found.ratio is None


def test_without_biases_relevance_is_conserved(client: httpx.Client, photo: bytes) -> None:
    found = explain(client, photo, zero_bias="true").conservation

    assert found.ratio == pytest.approx(1, abs=1e-3)


# --- pictures


def test_channels_add_up(client: httpx.Client, photo: bytes) -> None:
    each = relevance_of(explain(client, photo, output="relevance", channels="all"))
    summed = relevance_of(explain(client, photo, output="relevance"))

    assert each.shape == (3, 32, 32)
    assert np.allclose(each.sum(axis=0), summed, atol=1e-9)


@pytest.mark.parametrize("cmap", COLORMAPS)
@pytest.mark.parametrize("bound", [None, 0.004])
def test_the_heatmap_is_the_relevance_through_the_colormap(
    client: httpx.Client, photo: bytes, cmap: str, bound: float | None
) -> None:
    options = {} if bound is None else {"bound": bound}

    answer = explain(client, photo, output="heatmap,relevance", cmap=cmap, size=64, **options)

    relevance = relevance_of(answer).astype(np.float64)
    assert answer.bound == (bound or np.abs(relevance).max())
    indices = np.rint(127 + 127 * np.clip(relevance / answer.bound, -1, 1)).astype(int)
    expected = color_table(cmap)[indices].repeat(2, axis=0).repeat(2, axis=1)
    assert np.array_equal(picture_of(answer.heatmap), expected)


def test_with_a_common_bound_two_pictures_can_be_compared(
    client: httpx.Client, photo: bytes
) -> None:
    answers = [
        explain(client, photo, target=name, output="heatmap,relevance", bound=0.003, size=32)
        for name in ("cat", "truck")
    ]
    first, second = (relevance_of(answer).ravel() for answer in answers)
    reds = [picture_of(answer.heatmap)[..., 2].ravel().astype(int) for answer in answers]

    # where both are for: the paler the red, the less relevance, across the two pictures
    both = (first > 0) & (second > 0)
    assert both.any()
    assert ((first > second) <= (reds[0] <= reds[1]))[both].all()


@pytest.mark.parametrize("size", [16, 100, 256, 2048])
def test_size_applies_to_both_pictures(client: httpx.Client, photo: bytes, size: int) -> None:
    answer = explain(client, photo, output="heatmap,overlay", size=size)

    assert picture_of(answer.heatmap).shape == (size, size, 3)
    assert picture_of(answer.overlay).shape == (size, size, 3)


def test_a_colour_bar_is_beside_both_pictures(client: httpx.Client, photo: bytes) -> None:
    asked: dict[str, Any] = {"output": "heatmap,overlay", "bound": 0.01}
    plain = explain(client, photo, **asked)
    barred = explain(client, photo, **asked, color_bar=True)

    for name in ("heatmap", "overlay"):
        without, with_bar = (picture_of(getattr(answer, name)) for answer in (plain, barred))
        assert with_bar.shape[1] > 256
        assert np.array_equal(with_bar[:, :256], without)


def test_enlarge_and_overlay_style_change_the_pictures(client: httpx.Client, photo: bytes) -> None:
    asked: dict[str, Any] = {"output": "heatmap,overlay,relevance"}
    plain = explain(client, photo, **asked)
    smooth = explain(client, photo, **asked, enlarge="smooth", overlay_style="contours")

    assert smooth.heatmap != plain.heatmap
    assert smooth.overlay != plain.overlay
    assert smooth.relevance == plain.relevance  # which no look touches


# --- the box


@pytest.mark.parametrize(
    ("fit", "box"),
    [("crop", (80, 0, 560, 480)), ("stretch", (0, 0, 640, 480)), ("pad", (0, -80, 640, 560))],
)
def test_the_box_of_a_photo(client: httpx.Client, fit: str, box: tuple[int, int, int, int]) -> None:
    image = explain(client, encode(smooth_photo(480, 640), "JPEG"), fit=fit).image

    assert (image.width, image.height) == (640, 480)
    assert image.box == box


def test_the_box_refers_to_the_upright_image(client: httpx.Client) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned
    content = encode(smooth_photo(480, 640), "JPEG", exif=exif)

    image = explain(client, content).image

    assert (image.width, image.height, image.box) == (480, 640, (0, 80, 480, 560))


def test_the_overlay_is_drawn_on_the_box(client: httpx.Client) -> None:
    stripes = np.zeros((48, 96, 3), np.uint8)
    stripes[:, :24], stripes[:, 72:] = 255, 255  # the crop is the black middle
    bound = 1e9  # so that no relevance is seen

    answer = explain(client, encode(Image.fromarray(stripes), "PNG"), output="overlay", bound=bound)

    overlay = picture_of(answer.overlay)
    assert answer.image.box == (24, 0, 72, 48)
    assert np.ptp(overlay[:, 10:-10].astype(int)) == 0
    assert overlay[0, 128, 0] < 128  # black, made lighter


def test_the_overlay_of_a_padded_image_shows_its_bars(client: httpx.Client) -> None:
    content = encode(Image.new("RGB", (100, 50)), "PNG")

    answer = explain(client, content, output="overlay", fit="pad", bound=1e9)

    overlay = picture_of(answer.overlay)
    assert answer.image.box == (0, -25, 100, 75)
    assert overlay[32, 128, 0] > overlay[128, 128, 0] + 20
    assert overlay[224, 128, 0] > overlay[128, 128, 0] + 20


def test_an_image_of_the_networks_size_is_not_changed(client: httpx.Client) -> None:
    content = encode(Image.fromarray(noise(32, 32, 3)), "PNG")

    answers = [send(client, content, {"fit": fit}).content for fit in ("crop", "stretch", "pad")]

    assert answers[0] == answers[1] == answers[2]


# --- headers


def test_the_stages_are_timed(client: httpx.Client, photo: bytes) -> None:
    stages = {
        path: dict(STAGE.findall(send(client, photo, path=path).headers["server-timing"]))
        for path in ("/explain", "/predict")
    }

    for times in stages.values():
        assert list(times) == ["decode", "queue", "compute", "render", "total"]
        values = [float(value) for value in times.values()]
        assert all(math.isfinite(value) and value >= 0 for value in values)
        assert sum(values[:-1]) <= values[-1] + 0.01


@pytest.mark.parametrize("path", ["/models", "/healthz", "/readyz", "/docs", "/nothing"])
def test_every_answer_has_an_id_and_a_total(client: httpx.Client, path: str) -> None:
    answer = client.get(path)

    assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])
    assert STAGE.findall(answer.headers["server-timing"])[-1][0] == "total"


@pytest.mark.parametrize("sent", ["a", "trace-1.2_3", "A" * 128])
def test_a_safe_request_id_is_returned(client: httpx.Client, photo: bytes, sent: str) -> None:
    headers = {"X-Request-ID": sent}

    assert send(client, photo, headers=headers).headers["x-request-id"] == sent
    assert send(client, b"broken", headers=headers).json()["request_id"] == sent


@pytest.mark.parametrize("sent", ["", "a b", "a" * 129, "<script>", "a,b", "\u00e9", 'a"b'])
def test_an_unsafe_request_id_is_replaced(client: httpx.Client, photo: bytes, sent: str) -> None:
    headers = {b"X-Request-ID": sent.encode(), b"Content-Type": b"image/jpeg"}

    answer = client.post("/predict", content=photo, headers=headers)

    assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])


def test_ids_are_not_repeated(client: httpx.Client) -> None:
    assert len({client.get("/healthz").headers["x-request-id"] for _ in range(5)}) == 5
