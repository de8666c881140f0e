"""The client's wheel, installed with its dependencies only, explains an image."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import lrpserve_client
import service
from tests.helpers.builds import build, install, version_of
from tests.helpers.servers import RunningServer

CLIENT = Path(__file__).parents[2] / "client"
CONSTRAINTS = CLIENT.parent / "constraints.txt"
pytestmark = pytest.mark.slow

# Appended to the example of the README: says what it has found, and what the environment has.
REPORT = """
import importlib.util, json, pathlib
import lrpserve_client

print(json.dumps({
    "file": lrpserve_client.__file__,
    "version": lrpserve_client.__version__,
    "target": explanation.target.label,
    "shape": explanation.relevance.shape,
    "signature": pathlib.Path("heatmap.png").read_bytes()[:4].hex(),
    "heavy": [name for name in ("torch", "service", "fastapi") if importlib.util.find_spec(name)],
}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(CLIENT, "wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with the client and its dependencies, nothing else."""
    environment = tmp_path_factory.mktemp("client") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python = environment / "bin" / "python"
    install(str(wheel), "--python", str(python), "-c", str(CONSTRAINTS))
    return python


def test_the_example_of_the_readme_runs_without_torch(
    python: Path, server: RunningServer, cat: Path, tmp_path: Path
) -> None:
    readme = (CLIENT / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    code = example.replace("http://127.0.0.1:8000", server.url) + REPORT
    shutil.copy(cat, tmp_path / "cat.jpg")
    done = subprocess.run(
        [python, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout.splitlines()[-1])
    assert Path(printed.pop("file")).is_relative_to(python.parents[1])
    assert printed == {
        "version": service.__version__,
        "target": "cat",
        "shape": [32, 32],
        "signature": b"\x89PNG".hex(),
        "heavy": [],
    }


def test_the_wheel_holds_the_package_its_types_and_the_licence(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    packaged = {name for name in names if ".dist-info/" not in name}
    modules = {path.name for path in (CLIENT / "lrpserve_client").glob("*.py")}
    assert packaged == {f"lrpserve_client/{name}" for name in modules | {"py.typed"}}
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_client_and_service_have_one_version(wheel: Path) -> None:
    assert version_of(wheel) == lrpserve_client.__version__ == service.__version__


def test_a_wheel_built_from_the_sdist_alone_has_that_version_too(tmp_path: Path) -> None:
    sdist = build(CLIENT, "sdist", tmp_path)
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (source,) = (tmp_path / "unpacked").iterdir()
    assert version_of(build(source, "wheel", tmp_path)) == service.__version__


def test_the_licence_is_that_of_the_service() -> None:
    assert (CLIENT / "LICENSE").read_bytes() == (CLIENT.parent / "LICENSE").read_bytes()
