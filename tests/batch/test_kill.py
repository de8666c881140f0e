"""Jobs that are killed: when they are resumed, nothing is lost or doubled."""

from __future__ import annotations

import random
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.batch.outputs import FORMATS
from tests.batch.jobs_in_processes import Starter, starter
from tests.batch.read_outputs import has_leftovers, read_output

N_IMAGES, PART_SIZE = 11, 4
N_POINTS = 8  # at which jobs of each format are killed, of all their file operations
N_MOMENTS = 6


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Starter]:
    with starter(tmp_path_factory.mktemp("jobs") / "errors.txt") as started:
        yield started


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory, samples: list[Path]) -> Path:
    """Images of three parts, of which one fails."""
    folder = tmp_path_factory.mktemp("images")
    for path in random.Random(0).sample(samples, N_IMAGES - 1):
        (folder / path.parent.name).mkdir(exist_ok=True)
        shutil.copy(path, folder / path.parent.name / path.name)
    (folder / "broken.png").write_bytes(b"no image")
    return folder


def arguments(images: Path, output: Path, format_name: str) -> dict[str, Any]:
    return {
        "source": str(images),
        "out": str(output),
        "format_name": format_name,
        "part_size": PART_SIZE,
    }


@pytest.mark.parametrize("format_name", FORMATS)
def test_a_job_that_is_killed_anywhere_ends_as_one_that_is_not(
    jobs: Starter, images: Path, tmp_path: Path, format_name: str
) -> None:
    whole = arguments(images, tmp_path / "whole" / "output", format_name)
    status, n_operations = jobs.run(**whole)
    assert status == 2  # as one image fails
    expected = read_output(format_name, tmp_path / "whole" / "output")
    assert n_operations > 4 * N_IMAGES / PART_SIZE
    points = random.Random(format_name).sample(range(n_operations), N_POINTS)
    for point in sorted(points):
        output = tmp_path / f"killed-{point}" / "output"
        killed = arguments(images, output, format_name)
        assert jobs.run(kill_before=point, **killed) == (-signal.SIGKILL, 0)
        assert jobs.run(**killed)[0] == 2
        assert read_output(format_name, output) == expected, point
        assert not has_leftovers(output)


@pytest.mark.parametrize("format_name", FORMATS)
def test_a_job_that_is_killed_at_many_moments_ends_as_one_that_is_not(
    jobs: Starter, images: Path, tmp_path: Path, format_name: str
) -> None:
    began = time.perf_counter()
    jobs.run(**arguments(images, tmp_path / "whole" / "output", format_name))
    whole_s = time.perf_counter() - began
    killed = arguments(images, tmp_path / "killed" / "output", format_name)
    moments, n_killed = random.Random(1), 0
    for _ in range(N_MOMENTS):
        process = jobs.start(**killed)
        time.sleep(moments.uniform(0, whole_s))
        process.kill()
        n_killed += process.wait()[0] == -signal.SIGKILL
    assert n_killed
    assert jobs.run(**killed)[0] == 2
    whole = read_output(format_name, tmp_path / "whole" / "output")
    assert read_output(format_name, tmp_path / "killed" / "output") == whole
