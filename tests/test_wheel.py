"""The wheel holds all that is needed: installed elsewhere, it serves."""

from __future__ import annotations

import os
import sys
import zipfile
from pathlib import Path

import httpx
import pytest

from service.models.card import ModelCard
from service.models.registry import find_bundle
from service.settings import DEFAULT_MODEL
from tests.helpers.builds import build, install
from tests.helpers.servers import COMMAND, running_server

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, "wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the wheel installs, and nothing else."""
    folder = tmp_path_factory.mktemp("installed")
    install(str(wheel), "--no-deps", "--python", sys.executable, "--target", str(folder))
    return folder


def test_the_wheel_holds_the_packages_the_bundle_and_the_licence(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    bundle = f"service/bundles/{DEFAULT_MODEL}"
    wanted = (
        "service/commands/__main__.py",
        "service/py.typed",
        "training/__main__.py",
        "training/py.typed",
    )
    for name in (*wanted, f"{bundle}/model.json", f"{bundle}/model.safetensors"):
        assert name in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if name.startswith("tests") or "__pycache__" in name]


def test_the_bundle_in_it_is_the_one_that_ships(installed: Path) -> None:
    shipped = find_bundle(DEFAULT_MODEL)
    for path in shipped.iterdir():
        copy = installed / "service" / "bundles" / DEFAULT_MODEL / path.name
        assert copy.read_bytes() == path.read_bytes()


def test_it_serves_from_where_it_was_installed(
    installed: Path, tmp_path: Path, cat: Path, card: ModelCard
) -> None:
    code = "import service; print('from', service.__file__, flush=True); " + COMMAND[2]
    command = (*COMMAND[:2], code, *COMMAND[3:])
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    settings = {"PYTHONPATH": str(installed)}
    with running_server(tmp_path, settings, command, cwd=elsewhere) as server:
        assert f"from {installed}{os.sep}service" in server.read_output()
        answer = httpx.post(
            f"{server.url}/explain", files={"image": cat.read_bytes()}, timeout=60
        ).raise_for_status()
    assert answer.json()["model_sha256"] == card.sha256
    assert answer.json()["heatmap"]
