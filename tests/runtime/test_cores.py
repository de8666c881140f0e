"""Cores are counted as the container has them; OpenMP's threads sleep while they wait."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from service.runtime import cores
from service.runtime.cores import set_wait_policy, usable_cores


@pytest.fixture
def cgroup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The root of control groups, with the process in `/a/b`, on a machine of eight cores."""
    own = tmp_path / "own"
    own.write_text("0::/a/b\n", encoding="ascii")
    root = tmp_path / "cgroup"
    (root / "a" / "b").mkdir(parents=True)
    monkeypatch.setattr(cores, "_OWN_CGROUP", own)
    monkeypatch.setattr(cores, "_CGROUP_ROOT", root)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    return root


def test_without_a_quota_all_cores_of_the_affinity_are_usable(cgroup: Path) -> None:
    assert usable_cores() == 8
    (cgroup / "a" / "b" / "cpu.max").write_text("max 100000\n", encoding="ascii")
    assert usable_cores() == 8


@pytest.mark.parametrize(
    ("quota", "n_cores"), [("200000", 2), ("250000", 2), ("50000", 1), ("1600000", 8)]
)
@pytest.mark.parametrize("folder", ["a/b", "a", "."])
def test_a_quota_of_the_group_or_of_one_around_it_counts_in_whole_cores(
    quota: str, n_cores: int, folder: str, cgroup: Path
) -> None:
    (cgroup / folder / "cpu.max").write_text(f"{quota} 100000\n", encoding="ascii")
    assert usable_cores() == n_cores


def test_quotas_of_version_1_count_too(cgroup: Path) -> None:
    cores._OWN_CGROUP.write_text("4:cpu,cpuacct:/x\n3:memory:/x\n", encoding="ascii")
    group = cgroup / "cpu,cpuacct" / "x"
    group.mkdir(parents=True)
    (group / "cpu.cfs_period_us").write_text("100000", encoding="ascii")
    (group / "cpu.cfs_quota_us").write_text("-1", encoding="ascii")
    assert usable_cores() == 8
    (group / "cpu.cfs_quota_us").write_text("300000", encoding="ascii")
    assert usable_cores() == 3


def test_threads_sleep_while_they_wait_unless_the_user_has_chosen() -> None:
    environ = {"OMP_NUM_THREADS": "2"}
    set_wait_policy(environ)
    assert environ["OMP_WAIT_POLICY"] == "passive"
    chosen = {"OMP_WAIT_POLICY": "active"}
    set_wait_policy(chosen)
    assert chosen == {"OMP_WAIT_POLICY": "active"}


@pytest.mark.parametrize(
    "start",
    [
        "import service.commands.__main__ as c; c.app = lambda: None; c.run()",
        "import training.__main__",
    ],
    ids=["service", "training"],
)
def test_the_policy_is_set_before_torch_is_imported(start: str) -> None:
    """OpenMP itself says what it has read, when it is loaded."""
    env = {name: value for name, value in os.environ.items() if "OMP" not in name}
    done = subprocess.run(
        [sys.executable, "-c", f"{start}; import torch"],
        env=env | {"OMP_DISPLAY_ENV": "verbose"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in done.stderr
    assert "GOMP_SPINCOUNT = '2000'" in done.stderr
