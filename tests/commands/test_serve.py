"""`lrpserve serve` says where workers gain nothing."""

from __future__ import annotations

import pytest

from service.commands import serve
from service.logs import flush_log
from service.settings import load_settings


@pytest.mark.parametrize(
    ("workers", "device", "is_said"),
    [(1, "auto", False), (2, "cpu", False), (3, "cpu", True), (3, "cuda:0", False)],
)
def test_more_workers_than_cores_are_noted(
    workers: int,
    device: str,
    is_said: bool,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(serve, "usable_cores", lambda: 2)
    serve._note_workers(load_settings(workers=str(workers), device=device))
    flush_log()
    said = capfd.readouterr().err
    assert ("note: 3 workers share 2 cores" in said) == is_said
    assert len(said.splitlines()) == is_said
