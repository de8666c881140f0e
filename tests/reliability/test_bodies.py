"""Hostile bodies and options, and the largest responses: refused soon, while others are served."""

from __future__ import annotations

import base64
import gzip
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.sending import JSON_TYPE, multipart, part, problem_of, wrong_options
from tests.conftest import SAMPLES
from tests.helpers.attackers import LIMIT_S, attacking_process, post
from tests.helpers.servers import RunningServer

pytestmark = pytest.mark.alone

PHOTO = Path(SAMPLES / "cat" / "0000.jpg").read_bytes()
BASE64 = base64.b64encode(PHOTO).decode()
RAW = {"Content-Type": "image/jpeg"}
MEGABYTE = 1 << 20
LARGEST_ERROR = 1 << 16  # bytes
Request = dict[str, Any]


class Attack:
    """Sends requests from another process, and checks that others are served meanwhile."""

    def __init__(self, server: RunningServer, attackers: ProcessPoolExecutor) -> None:
        self._url, self._attackers = server.url, attackers
        # the largest body that anybody sends rightfully: a picture of megabytes
        harmless = in_json(json.dumps({"image": "QUJD" * 2 * MEGABYTE}))
        self._usual = max(max(self._send(harmless)[1]) for _ in range(3))

    def send(self, request: Request) -> httpx.Response:
        """Send a request; others wait no longer than beside a harmless one, and are answered."""
        response, waits = self._send(request)
        assert max(waits) < 10 * self._usual
        right = httpx.post(f"{self._url}/predict", content=PHOTO, headers=RAW, timeout=LIMIT_S)
        assert right.json()["predictions"][0]["label"] == "cat"
        return response

    def _send(self, request: Request) -> tuple[httpx.Response, list[float]]:
        """The response, and how long each of the probes waited meanwhile."""
        with httpx.Client(base_url=self._url, timeout=LIMIT_S) as client:
            sent = self._attackers.submit(post, self._url, request)
            waits = [_probe(client)]
            while not sent.done():
                waits.append(_probe(client))
            return sent.result(), waits


def _probe(client: httpx.Client) -> float:
    began = time.perf_counter()
    assert client.get("/healthz").status_code == 200
    return time.perf_counter() - began


@pytest.fixture(scope="module")
def attack(server: RunningServer) -> Iterator[Attack]:
    """Attacks on the shared server."""
    with attacking_process() as attackers:
        yield Attack(server, attackers)


def in_json(body: str) -> Request:
    return {"content": body.encode(), "headers": JSON_TYPE}


def with_image(rest: str) -> Request:
    """JSON with an image, and more behind it."""
    return in_json(f'{{"image": "{BASE64}", {rest}')


def in_form(charset: str, *parts: bytes) -> Request:
    form = multipart([part("image", PHOTO, "cat.jpg"), *parts])
    form["headers"] = {"Content-Type": f"{form['headers']['Content-Type']}; charset={charset}"}
    return form


@pytest.mark.parametrize("charset", ["punycode", "undefined", "utf-16", "rot13", "idna", "cp037"])
def test_a_form_in_another_charset_is_refused_before_it_is_decoded(
    attack: Attack, charset: str
) -> None:
    text = part("model", b"a" * 200_000 + b"-" + b"b" * 200_000)

    problem_of(attack.send(in_form(charset, text)), 415, charset, "send text in UTF-8")


def test_charsets_of_parts_of_fields_and_of_json_are_utf_8(attack: Attack) -> None:
    typed = part("fit", b"cr\xf6p").replace(b"\r\n\r\n", b"\r\nContent-Type: %s\r\n\r\n", 1)
    in_part = typed.replace(b"%s", b"text/plain; charset=punycode")
    in_field = part("_charset_", b"punycode")
    headers = {"Content-Type": "application/json; charset=punycode"}

    problem_of(attack.send(in_form("utf-8", in_part)), 415, "punycode")
    problem_of(attack.send(in_form("utf-8", in_field)), 415, "punycode")
    problem_of(attack.send({"content": b"{}", "headers": headers}), 415, "punycode")


@pytest.mark.parametrize("n", [20, 21, 7_000])
def test_twenty_of_many_unknown_options_in_json_are_named(attack: Attack, n: int) -> None:
    names = ", ".join(f'"x{i:07}": 1' for i in range(n))

    response = attack.send(with_image(names + "}"))

    assert len(wrong_options(response)) == 20
    assert len(response.content) < LARGEST_ERROR
    assert response.json()["detail"].endswith(f"; and {n - 20:,} more") == (n > 20)


def test_twenty_of_many_unknown_options_in_a_query_are_named(attack: Attack) -> None:
    query = "&".join(f"{i}=" for i in range(9_000))

    response = attack.send({"path": f"/explain?{query}", "content": PHOTO, "headers": RAW})

    assert len(wrong_options(response)) == 20
    assert len(response.content) < LARGEST_ERROR
    assert "and 8,980 more" in response.json()["detail"]


WIDE: dict[str, Callable[[], str]] = {
    "names": lambda: ", ".join(f'"x{i:07}": 1' for i in range(500_000)) + "}",
    "objects": lambda: '"composite": [' + ",".join(["{}"] * 3 * MEGABYTE) + "]}",
    "numbers": lambda: '"targets": [' + ",".join(["1"] * 4 * MEGABYTE) + "]}",
    "strings": lambda: '"targets": [' + ",".join(['""'] * 3 * MEGABYTE) + "]}",
}


@pytest.mark.parametrize("kind", WIDE)
def test_wide_json_is_refused_before_it_is_parsed(attack: Attack, kind: str) -> None:
    response = attack.send(with_image(WIDE[kind]()))

    problem_of(response, 413, "more than 10,000 values")


@pytest.mark.parametrize("level", ["[", '{"a":', '[{"composite":'])
def test_deep_json_is_refused(attack: Attack, level: str) -> None:
    problem_of(
        attack.send(with_image('"composite": ' + level * (MEGABYTE // 2))), 400, "not valid JSON"
    )


@pytest.mark.parametrize(
    ("value", "status"),
    [("1" * 9 * MEGABYTE, 400), ("0." + "1" * 9 * MEGABYTE, 400), ("1e999999", 422), ("NaN", 400)],
)
def test_numbers_without_measure_are_refused(attack: Attack, value: str, status: int) -> None:
    problem_of(attack.send(with_image(f'"bound": {value}}}')), status)


@pytest.mark.parametrize(
    "image",
    [
        pytest.param("data:;base64," + "%2b" * 3 * MEGABYTE, id="escaped for a URL"),
        pytest.param(r"\u0041" * (3 * MEGABYTE // 2), id="escaped for JSON"),
        pytest.param(r" \n" * 3 * MEGABYTE, id="whitespace"),
        pytest.param("a" * 9 * MEGABYTE + "!", id="no digit at the end"),
        pytest.param("ö" * 4 * MEGABYTE, id="not ASCII"),
    ],
)
def test_text_in_place_of_an_image_holds_nobody_up(attack: Attack, image: str) -> None:
    problem_of(attack.send(in_json(f'{{"image": "{image}"}}')), 400)


def test_a_name_of_megabytes_is_cut(attack: Attack) -> None:
    response = attack.send(with_image(f'"{"n" * 9 * MEGABYTE}": 1}}'))

    assert list(wrong_options(response)) == ["n" * 60 + "..."]
    assert len(response.content) < LARGEST_ERROR


SURROGATES = [
    '"composite": [{"layers": "*", "rule": "flat", "\\ud800": 1}]}',
    '"composite": [{"layers": "\\udfff", "rule": "flat"}]}',
    '"composite": [{"layers": "type:\\udfff", "rule": "flat"}]}',
    '"composite": "\\ud800"}',
    '"targets": ["\\ud800"]}',
    '"\\ud800": 1}',
    '"a\\u0000b\\u001b[2J": 1}',
]


@pytest.mark.parametrize("rest", SURROGATES)
def test_half_of_a_surrogate_pair_is_told_of_in_plain_text(attack: Attack, rest: str) -> None:
    response = attack.send(with_image(rest))

    assert wrong_options(response)
    assert response.json()["detail"].encode().decode().isprintable()


def test_half_of_a_surrogate_pair_in_rules_of_a_query(attack: Attack) -> None:
    rules = '[{"layers": "*", "rule": "flat", "\\ud800": 1}]'
    params = {"composite": rules, "\x00": "1"}

    response = attack.send({"content": PHOTO, "headers": RAW, "params": params})

    assert list(wrong_options(response)) == ["composite", r"\x00"]


def test_many_long_layer_patterns_are_matched_soon(attack: Attack) -> None:
    rules = [{"layers": "*a" * 99 + str(i), "rule": "epsilon"} for i in range(256)]

    response = attack.send(with_image(f'"composite": {json.dumps(rules)}}}'))

    assert list(wrong_options(response)) == ["composite"]


LARGEST = {
    "size": 2048,
    "output": "heatmap,overlay",
    "overlay_style": "contours",
    "color_bar": True,
    "targets": list(range(10)),
}


def test_pictures_beyond_the_limit_are_refused_with_what_to_lower(attack: Attack) -> None:
    refused = attack.send(with_image(json.dumps(LARGEST)[1:]))

    assert "give a size of at most 915, fewer targets" in wrong_options(refused)["size"]


def test_the_largest_pictures_are_drawn_beside_others(attack: Attack) -> None:
    response = attack.send(with_image(json.dumps(LARGEST | {"size": 915})[1:]))

    assert response.status_code == 200
    assert len(response.json()["explanations"]) == 10
    assert len(response.content) < 20 * MEGABYTE


def test_many_members_of_a_gzip_body_are_refused(attack: Attack) -> None:
    body = gzip.compress(b"") * 450_000
    response = attack.send({"content": body, "headers": RAW | {"Content-Encoding": "gzip"}})
    problem_of(response, 400, "more than 1000 members")


def test_metrics_are_served_whatever_version_is_accepted(server: RunningServer) -> None:
    accept = b"application/openmetrics-text; version=\xff"
    assert httpx.get(f"{server.url}/metrics", headers={b"Accept": accept}).status_code == 200
