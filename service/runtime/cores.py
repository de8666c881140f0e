"""The cores that this process may use, and how OpenMP's threads wait for work. Needs no torch."""

from __future__ import annotations

import os
from collections.abc import Iterator, MutableMapping
from contextlib import suppress
from pathlib import Path

# Threads that wait for the next operator spin for tens of microseconds, then sleep. By default they
# spin for milliseconds: on few cores that takes the core away from the event loop, and from the
# thread that they wait for.
_WAITING = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "2000"}
_WAITING_OF_USER = (*_WAITING, "KMP_BLOCKTIME", "KMP_LIBRARY")
N_THREADS_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
_CGROUP_ROOT = Path("/sys/fs/cgroup")
_OWN_CGROUP = Path("/proc/self/cgroup")


def set_wait_policy(environ: MutableMapping[str, str] = os.environ) -> None:
    """Let OpenMP's threads sleep while they wait, unless the user has chosen a policy.

    OpenMP reads the variables when it is loaded: call this before torch is imported.
    """
    if not any(name in environ for name in _WAITING_OF_USER):
        environ.update(_WAITING)


def usable_cores() -> int:
    """Cores that the affinity and the CPU quota of the process allow; at least one."""
    n_cores = len(os.sched_getaffinity(0))
    return max(1, min(n_cores, *_quotas(_CGROUP_ROOT, _OWN_CGROUP), n_cores))


def _quotas(root: Path, own: Path) -> Iterator[int]:
    """CPU quotas in cores, rounded down, of the process's control groups (versions 1 and 2)."""
    for folder in _cgroups(root, own):
        with suppress(OSError, ValueError):
            quota, period = (folder / "cpu.max").read_text(encoding="ascii").split()
            yield int(quota) // int(period)  # "max" is no number
        with suppress(OSError, ValueError):
            quota = (folder / "cpu.cfs_quota_us").read_text(encoding="ascii")
            period = (folder / "cpu.cfs_period_us").read_text(encoding="ascii")
            if int(quota) > 0:  # -1 is no limit
                yield int(quota) // int(period)


def _cgroups(root: Path, own: Path) -> Iterator[Path]:
    """Folders of the process's control groups and of those around them.

    In a container the path may be the host's: then there is only the root.
    """
    try:
        lines = own.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "cpu", "cpu,cpuacct", "cpuacct,cpu"):
            continue
        top = root if controllers == "" else root / controllers
        inner = Path(path.lstrip("/"))
        yield from (top / part for part in (inner, *inner.parents))
    yield from (root, root / "cpu")
