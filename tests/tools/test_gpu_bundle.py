"""`make gpu-bundle`: the wheels that a GPU machine lacks, and the project."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from tools import gpu_bundle

NEEDED = {
    "fastapi", "starlette", "uvicorn", "pydantic", "pydantic-settings", "zennit", "orjson",
    "pybase64", "python-multipart", "pytest", "hypothesis", "httpx", "pillow",
}  # fmt: skip
PRESENT = {"torch", "torchvision", "numpy", "sympy", "triton"}


@pytest.mark.slow
def test_the_wheels_are_those_that_torch_does_not_bring() -> None:
    names = {package.split("==")[0] for package in gpu_bundle.missing_packages()}
    assert names >= NEEDED
    assert not names & PRESENT
    assert not any(name.startswith("nvidia-") for name in names)


def test_the_project_is_packed_without_what_git_ignores(tmp_path: Path) -> None:
    archive = tmp_path / "project.tar.gz"
    gpu_bundle.pack_project(archive)
    with tarfile.open(archive) as packed:
        names = set(packed.getnames())
    assert {"project/benchmarks/gpu.py", "project/tests/lrp/test_gpu.py"} <= names
    assert not any(".venv" in name or "__pycache__" in name for name in names)


def test_a_command_that_fails_is_named_with_its_reason() -> None:
    with pytest.raises(gpu_bundle.BundleFailed, match=r"failed: [\s\S]*no-such-package"):
        gpu_bundle.resolve(("no-such-package-of-anybody",))
