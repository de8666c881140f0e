"""Software bills of materials (CycloneDX): what is installed beside each of the two packages."""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from service import __version__
from tools.release.process import CommandFailed, run

_ADDRESS = re.compile(r"https?://([^/\s'\"]+)")
PROJECTS = {"lrpserve": Path(), "lrpserve-client": Path("client")}


def write_sbom(root: Path, project: str, out: Path, epoch: str) -> None:
    """Write the SBOM of a project: its pinned dependencies, in an environment of their own.

    Those of the service are the image's, with the same extras. One commit gives the same bytes.
    """
    pyproject = root / PROJECTS[project] / "pyproject.toml"
    extras = image_extras(root) if project == "lrpserve" else []
    with tempfile.TemporaryDirectory() as folder:
        python = Path(folder, "venv", "bin", "python")
        _install(root, pyproject, extras, python)
        command = [str(Path(sys.executable).with_name("cyclonedx-py")), "environment", str(python)]
        options = ["--pyproject", str(pyproject), "--output-reproducible", "--of", "JSON"]
        text = run([*command, *options], root, SOURCE_DATE_EPOCH=epoch)
    document = json.loads(text)
    document["metadata"]["component"]["version"] = __version__  # which hatchling reads elsewhere
    check_document(document, index_hosts(root))
    out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def image_extras(root: Path) -> list[str]:
    """The extras that the image installs."""
    return re.findall(r"--extra (\w+)", (root / "Dockerfile").read_text(encoding="utf-8"))


def _install(root: Path, pyproject: Path, extras: list[str], python: Path) -> None:
    uv = [sys.executable, "-m", "uv", "--quiet"]
    run([*uv, "venv", str(python.parents[1])], root)
    chosen = [part for extra in extras for part in ("--extra", extra)]
    pins = ["-c", str(root / "constraints.txt"), "-r", str(pyproject)]
    run([*uv, "pip", "install", "--python", str(python), *pins, *chosen], root)


def check_document(document: dict[str, Any], hosts: set[str]) -> None:
    """Check an SBOM.

    Raises
    ------
    CommandFailed
        A component has no version, or there is an address of this machine: of one of the hosts, or
        of a file.
    """
    unknown = [one["name"] for one in document["components"] if not one.get("version")]
    if unknown or not document["components"]:
        raise CommandFailed(f"the SBOM lacks the versions of {', '.join(unknown) or 'everything'}")
    text = json.dumps(document)
    named = [
        address for address in ("file://", *(f"//{host}" for host in hosts)) if address in text
    ]
    if named:
        raise CommandFailed(f"the SBOM has an address of this machine: {named[0]}")


def index_hosts(root: Path) -> set[str]:
    """Hosts of the package indexes that this machine is set up with."""
    told = run([sys.executable, "-m", "pip", "config", "list"], root)
    given = [value for name, value in os.environ.items() if name.startswith(("PIP_", "UV_"))]
    addresses = _ADDRESS.findall("\n".join([told, *given]))
    return {address.rpartition("@")[2] for address in addresses}
