"""The project that a batch job writes is opened by ViRelAy itself."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from service.methods import Method
from service.runtime.engine import Engine
from service.runtime.jobs import ExplainJob
from tests.helpers.conditions import wait_until
from tests.helpers.environments import environment, run_script
from tests.helpers.sockets import free_port
from tests.helpers.tools import cannot_run

pytestmark = pytest.mark.ecosystem

SCRIPT = Path(__file__).parent / "scripts" / "virelay_arrays.py"
CHECKED = (0, 7, 30)


@pytest.fixture(scope="session")
def virelay() -> Path:
    """The Python of an environment with ViRelAy 1.0: for Python 3.11.7 there is 0.4.0 only."""
    return environment("virelay", "virelay==1.0.0", python=find_python())


def find_python() -> str:
    """A Python of version 3.12 or later; those of pyenv need not be on the path."""
    on_path = [shutil.which(f"python3.{minor}") for minor in (12, 13)]
    of_pyenv = sorted(Path.home().glob(".pyenv/versions/3.1[23].*/bin/python"))
    found = [path for path in (*on_path, *map(str, of_pyenv)) if path and runs(path)]
    return found[0] if found else cannot_run("there is no Python 3.12")


def runs(python: str) -> bool:
    return subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory, samples: list[Path]) -> list[Path]:
    """Images in folders that are named after their classes, the first of which fails."""
    folder = tmp_path_factory.mktemp("images")
    broken = folder / "airplane" / "0.jpg"
    broken.parent.mkdir()
    broken.write_bytes(b"no image")
    copies = [folder / path.parent.name / path.name for path in samples[::5]]
    for path, copied in zip(samples[::5], copies, strict=True):
        copied.parent.mkdir(exist_ok=True)
        shutil.copy(path, copied)
    return copies


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, images: list[Path]) -> Path:
    """The project of a job, whose only error is the broken image."""
    output = tmp_path_factory.mktemp("job") / "shown.virelay"
    command = [str(Path(sys.executable).parent / "lrpserve"), "explain", "--part-size", "16"]
    arguments = ["--input", str(images[0].parents[1]), "--output", str(output)]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert f"{len(images)} of {len(images) + 1} images explained, 1 failed" in done.stderr
    return output / "project.yaml"


@contextmanager
def running(virelay: Path, project: Path) -> Iterator[httpx.Client]:
    """ViRelAy's server with a project."""
    port = free_port()
    command = [str(virelay.parent / "virelay"), str(project), "--port", str(port)]
    with (
        (project.parent / "virelay.txt").open("w") as log,
        subprocess.Popen(command, stdout=log, stderr=log) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}/api", timeout=30) as client,
    ):

        def answers() -> bool:
            assert process.poll() is None, Path(log.name).read_text()
            with suppress(httpx.TransportError):
                return client.get("/projects").is_success
            return False

        try:
            wait_until(answers)
            yield client
        finally:
            process.terminate()


def test_its_server_shows_the_project(virelay: Path, project: Path, engine: Engine) -> None:
    labels = engine.card.labels
    with running(virelay, project) as client:
        (shown,) = client.get("/projects").json()
        assert shown["model"] == engine.card.name
        for index in CHECKED:
            attribution = client.get(f"/projects/0/attributions/{index}").json()
            assert (attribution["width"], attribution["height"]) == (32, 32)
            assert attribution["labels"][0]["name"] in labels
            assert len(attribution["prediction"]) == len(labels)
            sample = client.get(f"/projects/0/dataset/{index}").json()
            assert sample["labels"] == attribution["labels"]
            for path in (f"attributions/{index}/heatmap", f"dataset/{index}/image"):
                query = {"colorMap": "blue-white-red"}
                picture = client.get(f"/projects/0/{path}", params=query)
                assert picture.is_success
                assert Image.open(io.BytesIO(picture.content)).size == (32, 32)


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory, samples: list[Path]) -> Path:
    """The project of an audit of twenty cats and twenty dogs."""
    folder = tmp_path_factory.mktemp("audited")
    for path in samples:
        if path.parent.name in ("cat", "dog"):
            (folder / path.parent.name).mkdir(exist_ok=True)
            shutil.copy(path, folder / path.parent.name)
    out = tmp_path_factory.mktemp("audit")
    command = [str(Path(sys.executable).parent / "lrpserve"), "audit", "minivgg-cifar10"]
    arguments = ["--data", str(folder), "--out", str(out), "--others", "20"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out / "virelay" / "project.yaml"


def test_its_server_shows_the_clusters_of_an_audit(virelay: Path, audited: Path) -> None:
    with running(virelay, audited) as client:
        (shown,) = client.get("/projects").json()
        methods = {one["name"]: one for one in client.get("/projects/0").json()["analysisMethods"]}
        assert set(methods) == {"position", "shape", "spectrum", "channels"}
        assert shown["model"] == "minivgg-cifar10"
        position = methods["position"]
        names = [one["humanReadableName"] for one in position["categories"]]
        assert names == ["cat", "dog"]
        query = {
            "category": position["categories"][0]["name"],
            "clustering": position["clusterings"][0],
            "embedding": position["embeddings"][0],
        }
        analysis = client.get("/projects/0/analyses/position", params=query).json()
        assert len(analysis["embedding"]) == 20
        assert {one["attributionIndex"] for one in analysis["embedding"]} == set(range(20))
        assert len({one["cluster"] for one in analysis["embedding"]}) >= 2
        picture = client.get(
            "/projects/0/attributions/3/heatmap", params={"colorMap": "blue-white-red"}
        )
        assert picture.is_success


def assert_close(found: NDArray[np.float32], expected: NDArray[np.float32]) -> None:
    """The job is another process, which may choose another size of batches."""
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_it_reads_the_relevance_that_the_engine_computes(
    virelay: Path, project: Path, images: list[Path], engine: Engine
) -> None:
    read = run_script(virelay, SCRIPT, str(project), *map(str, CHECKED))
    assert read["version"].startswith("1.")
    for index, found in zip(CHECKED, read["attributions"], strict=True):
        pixels = np.asarray(Image.open(images[index]).convert("RGB"))
        (expected,) = engine.explain([ExplainJob(pixels, engine.card.name, Method())])
        relevance = expected.attributions[0].relevance.transpose(1, 2, 0)
        assert_close(np.array(found["data"], np.float32), relevance)
        assert_close(np.array(found["prediction"], np.float32), expected.logits)
        np.testing.assert_array_equal(np.uint8(found["sample"]), pixels)
        assert found["labels"] == [images[index].parent.name]
