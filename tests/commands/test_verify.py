"""`lrpserve verify`: every composite against zennit."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.lrp import selftest
from service.lrp.selftest import Check
from service.methods import COMPOSITES
from service.runtime.engine import Engine
from service.settings import DEFAULT_MODEL
from tests.commands.command_line import Lrpserve, assert_one_sentence


def test_verify_compares_every_composite_in_both_precisions(lrpserve: Lrpserve) -> None:
    done = lrpserve("verify", DEFAULT_MODEL, "--device", "cpu")
    assert (done.code, done.err) == (0, "")
    title, _, *rows = done.out.splitlines()
    assert title.startswith(f"{DEFAULT_MODEL} on ")
    assert [row.split()[:2] for row in rows] == [
        [name, precision] for precision in ("float64", "float32") for name in COMPOSITES
    ]
    assert all(row.split()[-1] == "passed" for row in rows)


def test_verify_ends_with_2_if_a_composite_differs(
    lrpserve: Lrpserve, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = [
        Check("epsilon_plus", "float64", "twin", 1e-9, 1e-9),
        Check("none", "float32", "twin", float("inf"), 1e-4),
        Check("epsilon_gamma_box", "float32", "-", 0.0, 1e-4),
    ]
    monkeypatch.setattr(Engine, "verify", lambda engine: checks)
    done = lrpserve("verify")
    assert (done.code, done.err) == (2, "")
    _, _, *rows = done.out.splitlines()
    assert rows[0].split() == ["epsilon_plus", "float64", "twin", "1.0e-09", "1e-09", "passed"]
    assert rows[1].split() == ["none", "float32", "twin", "inf", "0.0001", "FAILED"]
    assert rows[2].rstrip().endswith("does not fit the network")


def test_verify_shows_the_failures_of_a_model_that_other_commands_refuse(
    lrpserve: Lrpserve, monkeypatch: pytest.MonkeyPatch, photos: Path
) -> None:
    monkeypatch.setattr(selftest, "LIMITS", dict.fromkeys(selftest.LIMITS, -1.0))
    refused = lrpserve("predict", photos / "a" / "cat.jpg")
    assert_one_sentence(refused, "fails its self-test", f"`lrpserve verify {DEFAULT_MODEL}`")
    done = lrpserve("verify")
    assert done.code == 2
    assert done.out.count("FAILED") == 2 * len(COMPOSITES)
