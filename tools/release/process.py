"""Programs that a release runs, and what git knows of the sources."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


class CommandFailed(Exception):
    """A program ended with an error; the message has its last lines."""


def run(command: list[str], folder: Path, **variables: str) -> str:
    """Run a program; returns what it prints.

    Raises
    ------
    CommandFailed
        It is missing, or its exit status is not 0.
    """
    try:
        done = subprocess.run(  # noqa: S603  # commands of ours
            command,
            cwd=folder,
            env=os.environ | variables,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        raise CommandFailed(f"{command[0]} is not installed") from None
    if done.returncode != 0:
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-20:])
        raise CommandFailed(f"{' '.join(command)} failed: {said}")
    return done.stdout


def commit_time(root: Path) -> str:
    """The time of the last commit in seconds: files of one commit are built with one time."""
    return run(["git", "log", "-1", "--format=%ct"], root).strip()


def uncommitted(root: Path) -> list[str]:
    """Files that differ from the last commit, or are new."""
    return [line[3:] for line in run(["git", "status", "--porcelain"], root).splitlines()]
