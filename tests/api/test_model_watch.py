"""Bundles that are replaced or added are noticed when they have settled, and loaded."""

from __future__ import annotations

from pathlib import Path

import httpx

from service.api.model_watch import FolderWatch
from tests.helpers.bundles import replace_bundle, write_variant
from tests.helpers.conditions import wait_until
from tests.helpers.servers import copy_bundle, running_server


def test_a_bundle_is_reported_once_when_it_has_settled(tmp_path: Path) -> None:
    watch, folder = FolderWatch(), copy_bundle(tmp_path / "a")
    weights = folder / "model.safetensors"
    assert watch.settled([folder]) == []
    assert watch.settled([folder]) == [folder]
    assert watch.settled([folder]) == []
    for n in range(3):  # it is being copied
        weights.write_bytes(b"x" * n)
        assert watch.settled([folder]) == []
    assert watch.settled([folder]) == [folder]
    weights.unlink()
    assert watch.settled([folder]) == watch.settled([folder]) == []


def test_a_server_loads_what_is_replaced_and_added_and_no_broken_one(tmp_path: Path) -> None:
    models = tmp_path / "models"
    old = write_variant(models / "a", 0, "a")
    new = write_variant(tmp_path / "next", 1, "a")
    settings = {"LRPSERVE_MODELS": str(models), "LRPSERVE_WATCH_S": "0.2"}
    with running_server(tmp_path, settings) as server:

        def served() -> dict[str, str]:
            listed = httpx.get(f"{server.url}/models").json()["models"]
            return {model["name"]: model["sha256"] for model in listed}

        assert served()["a"] == old.sha256
        replace_bundle(models / "a", tmp_path / "next")
        wait_until(lambda: served()["a"] == new.sha256)
        added = write_variant(models / ".b", 2, "b")
        (models / ".b").rename(models / "b")
        wait_until(lambda: served().get("b") == added.sha256)
        (models / "b" / "model.safetensors").write_bytes(b"torn")
        wait_until(lambda: "is not loaded" in server.read_output())
        assert served() == served() | {"a": new.sha256, "b": added.sha256}
        assert server.read_output().count("is not loaded") == 1
