"""The service, the page, the Python client and the documentation agree on what is repeated."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from lrpserve_client.retries import RETRIED
from service.api.response.problems import TYPE_PREFIX
from service.errors import DeadlineExceeded, OutOfMemory, ServiceError, Unavailable

ROOT = Path(__file__).parent.parent
SCRIPTS = (
    ROOT / "service" / "web" / "js" / "service" / "retry.js",
    ROOT / "docs" / "how-to" / "frontend.md",
)


def kinds_below(kind: type[ServiceError]) -> Iterator[type[ServiceError]]:
    for child in kind.__subclasses__():
        if child.__module__ == ServiceError.__module__:
            yield child
            yield from kinds_below(child)


OF_THE_SERVICE = {
    kind.type for kind in kinds_below(ServiceError) if kind.is_retried and kind is not Unavailable
}


def test_the_service_says_what_is_repeated() -> None:
    assert {"queue-full", "not-ready", "rate-limited"} <= OF_THE_SERVICE
    assert not {OutOfMemory.type, DeadlineExceeded.type, "broken"} & OF_THE_SERVICE


def test_the_python_client_repeats_the_same() -> None:
    assert {f"{TYPE_PREFIX}{name}" for name in OF_THE_SERVICE} == RETRIED


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_the_page_and_the_documentation_repeat_the_same(script: Path) -> None:
    found = re.search(r"const RETRIED = \[([^\]]*)\]", script.read_text(encoding="utf-8"))
    assert found
    assert set(re.findall(r'"([a-z-]+)"', found[1])) == OF_THE_SERVICE
