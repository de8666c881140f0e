"""Ray Data on a real Ray: images of a folder and of paths become rows of plain Parquet."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.runtime.engine import Engine
from tests.ecosystem.ray.conftest import RayServer
from tests.ecosystem.ray.rows import assert_equal_rows, expected_rows

pytestmark = [pytest.mark.ecosystem, pytest.mark.timeout(300)]

CODE = """
import sys
import ray
from service.ray.data import explain_images
folder, paths, out = sys.argv[1:]
ray.init(log_to_driver=False)
files = ray.data.read_binary_files(folder, include_paths=True)
explain_images(files, {"target": "cat"}, num_cpus=0.2).write_parquet(f"{out}/files")
listed = ray.data.read_parquet(paths)
explain_images(listed, {"channels": "all"}, num_cpus=0.2).write_parquet(f"{out}/listed")
"""


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory, samples: list[Path]) -> Path:
    """A folder with twelve images, and a file that is no image."""
    folder = tmp_path_factory.mktemp("images")
    for path in samples[::17]:
        shutil.copy(path, folder / f"{path.parent.name}-{path.name}")
    (folder / "broken.jpg").write_bytes(b"no image")
    return folder


@pytest.fixture(scope="module")
def written(ray_server: RayServer, images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of what a program with Ray Data has written."""
    out = tmp_path_factory.mktemp("out")
    paths = sorted(images.iterdir())
    table = pa.table({"path": [str(path) for path in paths], "index": list(range(len(paths)))})
    pq.write_table(table, out / "paths.parquet")
    subprocess.run(
        [sys.executable, "-c", CODE, images, out / "paths.parquet", out],
        env=ray_server.client_environment,
        check=True,
        timeout=200,
    )
    return out


@pytest.mark.parametrize(
    ("name", "options"), [("files", {"target": "cat"}), ("listed", {"channels": "all"})]
)
def test_rows_are_those_of_a_plain_process(
    written: Path, images: Path, engine: Engine, name: str, options: dict[str, str]
) -> None:
    rows = pq.read_table(written / name).to_pandas().sort_values("path").reset_index(drop=True)
    assert_equal_rows(rows, expected_rows(engine, images, **options))
    if name == "listed":
        assert list(rows["index"]) == list(range(len(rows)))


def test_the_files_are_read_without_ray(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    schema = pq.read_schema(next((written / "files").glob("*.parquet")))
    assert schema.field("relevance").type == pa.list_(pa.float32())
    assert not any(isinstance(field.type, pa.BaseExtensionType) for field in schema)
    assert not any(b"ARROW:extension:name" in (field.metadata or {}) for field in schema)
    frame = pd.read_parquet(written / "files")
    explained = frame[frame.error.isna()]
    assert {tuple(shape) for shape in explained["shape"]} == {(32, 32)}
