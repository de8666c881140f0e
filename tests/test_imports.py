"""Imports point one way, and what has to start quickly does not load what is slow."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# What each part may import, besides itself. A name of a module allows that module only.
ALLOWED: dict[str, set[str]] = {
    "lrpserve_client": set(),  # it knows the wire only, as every client does
    "service.text": set(),
    "service.errors": {"service.text"},
    "service.methods": {"service.errors", "service.text"},
    "service.strict_json": {"service.text"},
    "service.files": set(),
    "service.api_keys": set(),
    "service.origins": set(),
    "service.terminal": {"service.text"},
    "service.shared_memory": set(),
    "service.line_writer": set(),
    "service.shared_models": {"service.shared_memory"},
    "service.worker_state": {"service.shared_memory", "service.shared_models"},
    "service.shared_metrics": {"service.shared_memory"},
    "service.rate_limit_settings": set(),
    "service.settings": {
        "service.errors",
        "service.api_keys",
        "service.origins",
        "service.rate_limit_settings",
    },
    "service.healthcheck": set(),
    "service.build_info": {"service"},  # its version
    "service.tracing": {"service", "service.settings"},
    "service.models": {
        "service.errors",
        "service.files",
        "service.models.card",
        "service.models.labels",
        "service.strict_json",
        "service.text",
    },
    "service.models.measures": set(),
    "service.models.evidence": set(),
    "service.models.labels": {"service.errors", "service.files", "service.strict_json"},
    "service.models.card": {
        "service.errors",
        "service.files",
        "service.methods",  # the composites of a bundle
        "service.models.evidence",
        "service.models.labels",  # how many there may be
        "service.models.measures",
        "service.strict_json",
    },
    "service.models.importing": {
        "service",  # its version, for the card
        "service.errors",
        "service.files",
        "service.models",
    },
    "service.imaging": {"service.errors"},
    "service.lrp.cpu": set(),
    "service.lrp.tracing": set(),
    "service.lrp.network": {
        "service.errors",
        "service.lrp.cpu",
        "service.lrp.tracing",
        "service.methods",
    },
    "service.lrp.rules": {
        "service.errors",
        "service.lrp.cpu",
        "service.lrp.network",
        "service.methods",
        "service.text",
    },
    "service.lrp.passes": set(),
    "service.lrp.attribution": {"service.lrp.passes", "service.methods"},
    "service.lrp": {"service.errors", "service.methods", "service.lrp"},
    "service.logs": {"service.line_writer"},
    "service.metrics": {"service.errors", "service.shared_metrics"},
    "service.evidence": {"service.errors", "service.methods", "service.text"},
    "service.evidence.live": {"service.evidence", "service.lrp"},  # runs in an engine's passes
    "service.runtime": {
        "service.errors",
        "service.evidence",
        "service.metrics",
        "service.methods",
        "service.lrp",
        "service.models",
        "service.worker_state",
    },
    "service.api.executor": {"service.errors", "service.runtime.deadline"},
    "service.api.decoder": {
        "service.api.decoder_pool",
        "service.api.executor",
        "service.errors",
        "service.imaging",
        "service.runtime.deadline",
        "service.runtime.jobs",
    },
    "service.api.decoder_pool": {"service.errors", "service.imaging"},
    "service.api.request": {
        "service.api.executor",
        "service.errors",
        "service.methods",
        "service.imaging",
        # of these only what needs no torch
        "service.models.card",
        "service.runtime.deadline",
        "service.runtime.jobs",
        "service.strict_json",
        "service.text",
    },
    "service.api.response": {
        "service.api.executor",
        "service.api.request",
        "service.errors",
        # of these only what needs no torch
        "service.evidence.cost",
        "service.evidence.findings",
        "service.evidence.verdict",
        "service.imaging",
        "service.methods",
        "service.models.card",
        "service.models.evidence",
        "service.models.measures",
        "service.runtime.jobs",
        "service.text",
    },
    "service.api.middleware": {
        "service.api.response",
        "service.errors",
        "service.api_keys",
        "service.logs",
        "service.metrics",
        "service.runtime.deadline",
        "service.runtime.queue",
        "service.text",
    },
    "service.api": {
        "service",  # its version: answers of another one are not the same
        "service.api.decoder",
        "service.api.decoder_pool",
        "service.api.executor",
        "service.api.middleware",
        "service.api.request",
        "service.api.response",
        "service.errors",
        "service.imaging",
        "service.metrics",
        "service.models.card",
        "service.models.lookup",
        "service.models.registry",
        "service.methods",
        "service.api_keys",
        "service.runtime.cores",
        "service.runtime.deadline",
        "service.runtime.jobs",
        "service.runtime.loaded_models",
        "service.runtime.queue",
        "service.settings",
        "service.shared_models",
        "service.text",
        "service.worker_state",
    },
    "service.api.routes": {
        "service.api",
        "service.build_info",
        "service.errors",
        "service.methods",
        "service.imaging",
        "service.models.card",
        "service.runtime.deadline",
        "service.runtime.jobs",
        "service.worker_state",
        "service.text",
    },
    "service.api.protocols": {
        "service",  # its version
        "service.api",
        "service.errors",
        "service.logs",
        "service.methods",
        "service.imaging",
        "service.models.card",
        "service.runtime.deadline",
        "service.runtime.jobs",
        "service.strict_json",
        "service.worker_state",
        "service.text",
    },
    "service.app": {
        "service",  # its version
        "service.api",
        "service.errors",
        "service.imaging",
        "service.metrics",
        "service.models.card",
        "service.models.lookup",
        "service.models.registry",
        "service.runtime",
        "service.settings",
        "service.tracing",
        "service.worker_state",
    },
    "service.server": {
        "service.api",
        "service.app",
        "service.errors",
        "service.server.listen",
        "service.server.protocol",
        "service.server.uvicorn_hooks",
        "service.logs",
        "service.metrics",
        "service.runtime",
        "service.settings",
        "service.shared_metrics",
        "service.shared_models",
        "service.worker_state",
    },
    "service.server.listen": {"service.errors"},
    "service.server.protocol": {
        "service.errors",
        "service.server.refusal",
        "service.server.sequential",
        "service.server.uvicorn_hooks",
    },
    "service.server.sequential": {
        "service.server.head",
        "service.server.leaving",
        "service.server.parser",
        "service.server.transport",
        "service.server.unparsed",
        "service.server.uvicorn_hooks",
    },
    "service.server.head": {"service.errors"},
    "service.server.refusal": {
        "service.api.middleware.cors",
        "service.api.response.problems",
        "service.errors",
    },
    "service.batch": {
        "service",  # its version: a job is not resumed by another one
        "service.api.request",
        "service.api.response",
        "service.errors",
        "service.files",
        "service.imaging",
        "service.methods",
        "service.models",
        "service.runtime",
        "service.settings",
        "service.terminal",
    },
    "service.ray": {
        "service.batch",
        "service.runtime.cores",
        "service.api.state",
        "service.app",
        "service.errors",
        "service.logs",
        "service.server.process",
        "service.settings",
        "service.worker_state",
    },
    "service.evaluation": {
        "service",
        "service.errors",
        "service.evidence",
        "service.files",
        "service.imaging",
        "service.lrp",
        "service.methods",
        "service.models",
        "service.runtime",
        "service.terminal",
        "service.text",
    },
    "service.commands": {
        "service",
        "service.api.rate_limit",
        "service.api.request",
        "service.api.response",
        "service.api_keys",
        "service.app",
        "service.batch",
        "service.errors",
        "service.evaluation",
        "service.evidence",
        "service.files",
        "service.imaging",
        "service.logs",
        "service.methods",
        "service.models",
        "service.ray",
        "service.runtime",
        "service.server",
        "service.settings",
        "service.terminal",
        "service.text",
    },
    "training": {
        "service",
        "service.errors",
        "service.evaluation",
        "service.evidence",
        "service.imaging",
        "service.lrp",
        "service.methods",
        "service.models",
        "service.runtime",
        "service.strict_json",
        "service.terminal",
    },
}


# The packages, and the folder that each stands in.
PACKAGES = {"service": ROOT, "training": ROOT, "lrpserve_client": ROOT / "client"}


def modules() -> dict[str, Path]:
    return {
        name_of(path, folder): path
        for package, folder in PACKAGES.items()
        for path in sorted((folder / package).rglob("*.py"))
    }


def name_of(path: Path, folder: Path) -> str:
    parts = path.relative_to(folder).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


MODULES = modules()


def imports_of(name: str) -> Iterator[str]:
    """Our modules that a module imports anywhere in it, functions included."""
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            joined = [f"{node.module}.{alias.name}" for alias in node.names]
            found = [one if one in MODULES else node.module for one in joined]
        else:
            continue
        yield from (one for one in found if one.split(".")[0] in PACKAGES)


def part_of(name: str) -> str | None:
    """The longest entry of the table that a module is in."""
    parts = [part for part in ALLOWED if name == part or name.startswith(f"{part}.")]
    return max(parts, key=len, default=None)


def is_allowed(name: str, imported: str) -> bool:
    part = part_of(name)
    if part is None or part == part_of(imported):
        return True
    return any(
        imported == one or (one != "service" and imported.startswith(f"{one}."))
        for one in ALLOWED[part]
    )


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_only_what_its_part_may(name: str) -> None:
    assert [one for one in imports_of(name) if not is_allowed(name, one)] == []


def test_every_module_is_in_the_table() -> None:
    assert [name for name in MODULES if part_of(name) is None] == ["service"]


def test_no_import_goes_in_a_circle() -> None:
    graph = {name: set(imports_of(name)) - {name} for name in MODULES}
    assert len(list(TopologicalSorter(graph).static_order())) == len(MODULES)


def test_the_service_never_imports_the_training() -> None:
    wrong = [
        (name, one)
        for name in MODULES
        for one in imports_of(name)
        if name.startswith("service") and one.startswith("training")
    ]
    assert wrong == []


def in_package(*packages: str) -> list[str]:
    return [m for m in MODULES if any(m == p or m.startswith(f"{p}.") for p in packages)]


# Prints each module of the first argument after whose import one of the second is loaded.
CODE = """
import importlib, sys
modules, unwanted = (argument.split(",") for argument in sys.argv[1:])
for module in modules:
    importlib.import_module(module)
    loaded = [name for name in unwanted if name in sys.modules]
    if loaded:
        print(module, "loads", *loaded)
        break
"""


@pytest.mark.parametrize(
    ("importers", "unwanted"),
    [
        (in_package("service.api", "service.imaging"), "torch,zennit,torchvision"),
        (in_package("service.lrp", "service.models"), "fastapi,starlette,uvicorn"),
        (
            ["service.models.card", "service.models.labels", "service.models.registry"],
            "torch,torchvision,numpy",
        ),
        (["service.models.source", "service.commands.importing"], "torch,torchvision,fastapi"),
        (
            ["service.runtime.queue", "service.runtime.jobs", "service.worker_state"],
            "torch,fastapi,starlette",
        ),
        (
            in_package("service.methods", "service.errors", "service.settings"),
            "torch,fastapi,PIL,numpy",
        ),
        (in_package("lrpserve_client"), "service,torch,fastapi,starlette"),
        (
            ["service.app", "service.commands.serve", "service.commands.openapi"],
            "torch,grpc,google.protobuf",
        ),
        (["service.commands.__main__"], "torch,fastapi,PIL,numpy"),
        (in_package("service.evidence"), "quantus,sklearn,cv2,scipy,zennit,fastapi"),
    ],
    ids=["api", "lrp", "cards", "import", "queue", "leaves", "client", "app", "cli", "evidence"],
)
def test_what_is_imported_loads_nothing_slow(importers: list[str], unwanted: str) -> None:
    assert importers
    done = subprocess.run(
        [sys.executable, "-c", CODE, ",".join(importers), unwanted],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == ""
