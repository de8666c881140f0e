"""`make release`: what it refuses, what it says, and what it writes down."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

import service
from tools.release import __main__ as release
from tools.release.checksums import write_checksums
from tools.release.image import build_image
from tools.release.packages import CHART, build_chart
from tools.release.process import CommandFailed, run, uncommitted
from tools.release.sbom import check_document, image_extras, index_hosts

ROOT = Path(__file__).parents[2]
WORKFLOWS = ROOT / ".github" / "workflows"
GOOD: dict[str, Any] = {"components": [{"name": "numpy", "version": "2.4.6"}]}


def git(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@a.example")
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


def put_engine(folder: Path, name: str, script: str) -> None:
    """Make a program that notes its arguments, as Docker's or Podman's."""
    program = folder / name
    program.write_text(f"#!/bin/sh\necho {name} $@ >> {folder}/calls\n{script}\n")
    program.chmod(0o755)


def test_files_that_are_not_committed_stop_a_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "init")
    git(tmp_path, "commit", "--allow-empty", "-m", "first")
    assert uncommitted(tmp_path) == []
    (tmp_path / "new.py").touch()
    assert uncommitted(tmp_path) == ["new.py"]

    monkeypatch.setattr(release, "ROOT", tmp_path)
    out = tmp_path / "dist"
    ran = CliRunner().invoke(release.app, ["--out", str(out)])
    assert ran.exit_code == 1
    assert "new.py is not committed: commit first, or add --allow-dirty" in ran.output
    assert not out.exists()


def test_a_program_that_fails_is_named_with_what_it_said(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="sh -c echo no; exit 3 failed: no"):
        run(["sh", "-c", "echo no; exit 3"], tmp_path)
    with pytest.raises(CommandFailed, match="no-such-program is not installed"):
        run(["no-such-program"], tmp_path)


def test_checksums_are_those_of_sha256sum(tmp_path: Path) -> None:
    for name in ("b.whl", "a.tar.gz"):
        (tmp_path / name).write_text(name)
    lines = write_checksums(tmp_path)
    assert [line.split()[1] for line in lines] == ["a.tar.gz", "b.whl"]
    assert write_checksums(tmp_path) == lines  # its own file is not in it
    command = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    assert subprocess.run(command, cwd=tmp_path, check=False).returncode == 0
    (tmp_path / "b.whl").write_text("other")
    assert subprocess.run(command, cwd=tmp_path, check=False).returncode == 1


def test_the_chart_has_the_same_bytes_in_every_clone(tmp_path: Path) -> None:
    packed = []
    for cloned_at in (1_600_000_000, 1_700_000_000):
        clone = tmp_path / str(cloned_at)
        shutil.copytree(ROOT / CHART, clone / CHART)
        for path in clone.rglob("*"):
            os.utime(path, (cloned_at, cloned_at))
        build_chart(clone, clone, "1650000000")
        packed.append((clone / f"lrpserve-{service.__version__}.tgz").read_bytes())
    assert packed[0] == packed[1]


def test_the_image_is_built_by_the_engine_that_reaches_the_registry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_engine(tmp_path, "docker", '[ "$1" != pull ]')
    put_engine(tmp_path, "podman", "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    said = build_image(ROOT, "lrpserve:1")
    assert said.startswith("image lrpserve:1 was built with podman")
    head = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=ROOT, text=True).strip()
    built = (tmp_path / "calls").read_text().splitlines()[-1]
    assert built == f"podman build --build-arg COMMIT={head} -t lrpserve:1 ."


def test_it_is_said_loudly_where_no_image_can_be_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_engine(tmp_path, "docker", "exit 1")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert build_image(ROOT, "lrpserve:1").startswith("NO IMAGE WAS BUILT: ")


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"components": []}, "lacks the versions of everything"),
        ({"components": [{"name": "numpy"}]}, "lacks the versions of numpy"),
        ({"url": "https://index.example/simple", **GOOD}, "//index.example"),
        ({"url": "file:///wheels/numpy.whl", **GOOD}, "file://"),
    ],
    ids=["empty", "version", "index", "file"],
)
def test_an_sbom_that_is_wrong_is_refused(document: dict[str, Any], said: str) -> None:
    check_document(GOOD, {"index.example"})
    with pytest.raises(CommandFailed, match=said):
        check_document(document, {"index.example"})


def test_addresses_of_indexes_are_known_without_their_passwords(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("UV_INDEX_URL", "https://user:secret@index.example/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://more.example/simple")
    hosts = index_hosts(ROOT)
    assert {"index.example", "more.example"} <= hosts
    assert not any("secret" in host for host in hosts)


def test_the_sbom_has_the_extras_of_the_image() -> None:
    assert image_extras(ROOT) == ["redis", "otel", "grpc"]


# --- the workflows of the forge


def steps_of(name: str, job: str) -> list[str]:
    workflow = yaml.safe_load((WORKFLOWS / name).read_text())
    return [step["run"] for step in workflow["jobs"][job]["steps"] if "run" in step]


def test_a_release_is_audited_first_and_built_by_make() -> None:
    assert steps_of("audit.yml", "audit") == ["make audit"]
    assert "make release" in steps_of("release.yml", "release")
    jobs = yaml.safe_load((WORKFLOWS / "release.yml").read_text())["jobs"]
    assert jobs["release"]["needs"] == "audit"
    assert jobs["audit"]["uses"] == "./.github/workflows/audit.yml"


def test_the_audit_fails_for_packages_that_it_cannot_audit() -> None:
    found = re.search(r"^audit:.*\n\t(.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert found
    assert "pip-audit --strict " in found[1]
    assert found[1].endswith("-r constraints.txt")


def test_the_workflow_compares_the_tag_with_the_version(tmp_path: Path) -> None:
    (check,) = [step for step in steps_of("release.yml", "release") if step.startswith("test ")]
    version = service.__version__
    for tag, status in ((f"v{version}", 0), ("v9.9.9", 1)):
        done = subprocess.run(
            ["bash", "-c", check],
            cwd=ROOT,
            env={"GITHUB_REF_NAME": tag, "PATH": "/usr/bin:/bin"},
            check=False,
        )
        assert done.returncode == status
