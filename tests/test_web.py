"""Pages in a real browser, on a real server, with no network."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browsers import rendered_page
from tests.servers import RunningServer


@pytest.fixture(scope="module")
def docs_page(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> str:
    return rendered_page(f"{server.url}/docs", tmp_path_factory.mktemp("profile"))


@pytest.mark.parametrize("path", ["/predict", "/explain", "/models", "/healthz", "/readyz"])
def test_docs_show_every_path_without_a_network(docs_page: str, path: str) -> None:
    assert f'data-path="{path}"' in docs_page


def test_the_first_page_leads_to_the_docs(server: RunningServer, tmp_path: Path) -> None:
    assert 'data-path="/explain"' in rendered_page(server.url, tmp_path)
