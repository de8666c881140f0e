"""Versions of the service and of the packages that it computes with, without importing them."""

from __future__ import annotations

import json
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, version

from service import __version__

_DISTRIBUTION = "lrpserve"
PACKAGES = ("torch", "torchvision", "zennit", "numpy", "pillow")


@cache
def package_versions() -> dict[str, str | None]:
    """Versions of Python and of the packages, by name; None for one that is not installed."""
    return {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}}


def commit_of(direct_url: str | None) -> str | None:
    """The git commit that pip installed from, by the text of `direct_url.json` (PEP 610)."""
    commit: str | None = json.loads(direct_url or "{}").get("vcs_info", {}).get("commit_id")
    return commit


def build_info(commit: str | None = None) -> dict[str, str | None]:
    """The version of the service, its git commit, and the versions of packages.

    Parameters
    ----------
    commit : str, optional
        The git commit, where whoever built the service knows it.
    """
    return {
        "version": __version__,
        "commit": commit or _installed_commit(),
        **package_versions(),
    }


@cache
def _installed_commit() -> str | None:
    try:
        return commit_of(distribution(_DISTRIBUTION).read_text("direct_url.json"))
    except PackageNotFoundError:  # as in the container, which has the code but no distribution
        return None


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
