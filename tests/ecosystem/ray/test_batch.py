"""`lrpserve explain --ray` on a real Ray: killed and resumed, and with an actor that dies."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from service.runtime.engine import Engine
from tests.ecosystem.ray.conftest import LRPSERVE, RayServer, command_line
from tests.ecosystem.ray.rows import assert_equal_rows, expected_rows
from tests.helpers.conditions import wait_until
from tests.helpers.processes import descendants

pytestmark = [pytest.mark.ecosystem, pytest.mark.timeout(300)]

N_IMAGES, PART_SIZE = 401, 8  # long enough that a job is killed before its end
N_PARTS = -(-N_IMAGES // PART_SIZE)
FAILED = 2  # as one of the files is no image


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory, samples: list[Path]) -> Path:
    """A folder with each image twice, and a file that is no image."""
    folder = tmp_path_factory.mktemp("images")
    for index, path in enumerate(samples * 2):
        shutil.copy(path, folder / f"{index:03d}.jpg")
    (folder / "broken.jpg").write_bytes(b"no image")
    return folder


@pytest.fixture(scope="module")
def expected(engine: Engine, images: Path) -> pd.DataFrame:
    return expected_rows(engine, images)


@contextmanager
def started(ray_server: RayServer, images: Path, output: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a job with two actors; beside the replicas two cores have room for one of them."""
    numbers = ("--part-size", str(PART_SIZE), "--ray", "2")
    with subprocess.Popen(
        [*LRPSERVE, "explain", "--input", images, "--output", output, *numbers],
        env=ray_server.client_environment,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def actors(ray_server: RayServer) -> list[int]:
    """The process ids of the actors that explain."""
    found = descendants(ray_server.server.process.pid)
    return [pid for pid in found if "ray::ExplainActor" in command_line(pid)]


def n_written(output: Path) -> int:
    """How many parts are in the journal of a job."""
    journal = output.with_name(f"{output.name}.job") / "parts.jsonl"
    return len(journal.read_text().splitlines()) if journal.exists() else 0


def assert_whole(process: subprocess.Popen[str], output: Path, expected: pd.DataFrame) -> None:
    """Wait for the end of a job, and check that it has each image once."""
    _, said = process.communicate(timeout=200)
    assert process.returncode == FAILED, said
    rows = pq.read_table(output).to_pandas()
    assert list(rows["index"]) == list(range(N_IMAGES))
    assert_equal_rows(rows, expected)


def test_a_job_that_is_killed_is_resumed_with_nothing_lost_or_doubled(
    ray_server: RayServer, images: Path, expected: pd.DataFrame, tmp_path: Path
) -> None:
    output = tmp_path / "out.parquet"
    with started(ray_server, images, output) as process:
        wait_until(lambda: n_written(output) >= 2)
        process.kill()
        assert process.wait() == -signal.SIGKILL
    assert 2 <= n_written(output) < N_PARTS
    wait_until(lambda: not actors(ray_server))  # they end with the job
    with started(ray_server, images, output) as process:
        assert_whole(process, output, expected)


def test_the_images_of_an_actor_that_dies_are_explained_again(
    ray_server: RayServer, images: Path, expected: pd.DataFrame, tmp_path: Path
) -> None:
    output = tmp_path / "out.parquet"
    with started(ray_server, images, output) as process:
        wait_until(lambda: n_written(output) >= 2)
        os.kill(min(actors(ray_server)), signal.SIGKILL)
        assert n_written(output) < N_PARTS
        assert_whole(process, output, expected)
