"""A release is built: everything is there, installs, and has the same bytes again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from service import __version__
from tests.helpers.builds import version_of
from tools.release.packages import build_chart, build_packages
from tools.release.process import commit_time
from tools.release.sbom import index_hosts, write_sbom

pytestmark = pytest.mark.ecosystem
ROOT = Path(__file__).parents[2]
CLIENT_SBOM = f"lrpserve-client-{__version__}.cdx.json"
FILES = {
    f"lrpserve-{__version__}-py3-none-any.whl",
    f"lrpserve-{__version__}.tar.gz",
    f"lrpserve-{__version__}.tgz",
    f"lrpserve-{__version__}.cdx.json",
    f"lrpserve_client-{__version__}-py3-none-any.whl",
    f"lrpserve_client-{__version__}.tar.gz",
    CLIENT_SBOM,
    "SHA256SUMS",
}


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("release") / "dist"
    folder.mkdir()
    (folder / "of-before.whl").touch()
    command = [sys.executable, "-m", "tools.release", "--allow-dirty", "--no-image"]
    subprocess.run([*command, "--out", str(folder)], cwd=ROOT, check=True)
    return folder


def test_everything_is_there_with_its_checksum(dist: Path) -> None:
    assert {file.name for file in dist.iterdir()} == FILES
    command = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    done = subprocess.run(command, cwd=dist, capture_output=True, text=True, check=True)
    assert done.stdout.count(": OK") == len(FILES) - 1
    assert {version_of(wheel) for wheel in dist.glob("*.whl")} == {__version__}


def test_the_sbom_has_every_pinned_dependency(dist: Path) -> None:
    document = json.loads((dist / f"lrpserve-{__version__}.cdx.json").read_text())
    found = {
        one["name"].lower().replace("_", "-"): one["version"] for one in document["components"]
    }
    pins = [
        Requirement(line)
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    pinned = {pin.name: str(pin.specifier).removeprefix("==") for pin in pins}
    assert {"torch", "torchvision", "fastapi", "redis"} <= set(found)
    assert not {"pytest", "mypy", "lrpserve"} & set(found)
    assert {name: pinned[name] for name in found} == found
    root = document["metadata"]["component"]
    assert (root["name"], root["version"]) == ("lrpserve", __version__)
    assert len(document["dependencies"]) == len(found) + 1


def test_sboms_name_no_index_and_no_file_of_this_machine(dist: Path) -> None:
    for sbom in dist.glob("*.cdx.json"):
        text = sbom.read_text()
        assert str(ROOT) not in text
        assert "file:" not in text
        assert not [host for host in index_hosts(ROOT) if f"//{host}" in text]


def test_one_commit_gives_the_same_bytes(dist: Path, tmp_path: Path) -> None:
    epoch = commit_time(ROOT)
    build_packages(ROOT, tmp_path, epoch)
    build_chart(ROOT, tmp_path, epoch)
    write_sbom(ROOT, "lrpserve-client", tmp_path / CLIENT_SBOM, epoch)
    again = sorted(tmp_path.iterdir())
    assert len(again) == 6
    for file in again:
        assert file.read_bytes() == (dist / file.name).read_bytes(), file.name
