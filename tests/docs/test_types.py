"""The types for TypeScript that the guide makes from the OpenAPI document hold programs to it."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.tools import cannot_run, find_tool

GUIDE = (Path(__file__).parents[2] / "docs" / "how-to" / "frontend.md").read_text(encoding="utf-8")
ADDRESS = "http://localhost:8000/openapi.json"
TSC = ("tsc", "--noEmit", "--strict", "--target", "es2022", "--module", "preserve")

RIGHT = """
const answer = await explain("http://localhost:8000", {
  image: "iVBORw0K",
  top_k: 2,
  composite: [{ layers: "type:linear", rule: "gamma", gamma: 0.5 }],
});
const ratio: number | null = answer.conservation.ratio;
const composite: string = answer.method.composite;
const gamma: number | undefined = answer.method.gamma;
console.log(ratio?.toFixed(2), composite.length, gamma, answer.predictions[0].label);
"""
WRONG = {
    "option": ("top_k: 2", "top: 2", "'top' does not exist"),
    "value": ('rule: "gamma"', 'rule: "gama"', '"gama"'),
    "parameter": ("gamma: 0.5", "gamma: true", "'boolean' is not assignable"),
    "field": ("method.composite;", "method.composites;", "'composites' does not exist"),
    "null": ("ratio?.toFixed", "ratio.toFixed", "possibly 'null'"),
    "problem": ("problem.detail", "problem.details", "'details' does not exist"),
}


@pytest.fixture(scope="module")
def npx() -> list[str]:
    """The guide's `npx` with its packages, which have been fetched."""
    find_tool("npx", "npm")
    (command,) = re.findall(r"^npx (.*) openapi-typescript http", GUIDE, re.MULTILINE)
    npx = ["npx", "--prefer-offline", *shlex.split(command)]
    done = subprocess.run([*npx, "tsc", "--version"], capture_output=True, check=False)
    if done.returncode:
        cannot_run("npx cannot fetch TypeScript")
    return npx


@pytest.fixture(scope="module")
def errors(npx: list[str], tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the compiler says of the guide's program, and of its variants with one fault each."""
    folder = tmp_path_factory.mktemp("typescript")
    make_types(npx, folder)
    (code,) = re.findall(r"```ts\n(.*?)```", GUIDE, re.DOTALL)
    program = code + RIGHT
    (folder / "right.ts").write_text(program)
    for name, (right, wrong, _) in WRONG.items():
        assert program.count(right) == 1
        (folder / f"wrong_{name}.ts").write_text(program.replace(right, wrong))
    files = sorted(path.name for path in folder.glob("*.ts"))
    done = subprocess.run(
        [*npx, *TSC, *files], cwd=folder, capture_output=True, text=True, check=False
    )
    return done.stdout


def make_types(npx: list[str], folder: Path) -> None:
    """Run the guide's command, with the document in a file in place of a running service."""
    document = folder / "openapi.json"
    with document.open("wb") as file:
        subprocess.run([sys.executable, "-m", "service.commands.openapi"], stdout=file, check=True)
    (arguments,) = re.findall(rf"(openapi-typescript {ADDRESS} .*)", GUIDE)
    command = [*npx, *shlex.split(arguments.replace(ADDRESS, document.name))]
    subprocess.run(command, cwd=folder, capture_output=True, check=True, timeout=100)


def test_a_program_that_is_right_compiles(errors: str) -> None:
    assert [line for line in errors.splitlines() if not line.startswith("wrong_")] == []


@pytest.mark.parametrize("name", WRONG)
def test_a_program_that_is_wrong_does_not(errors: str, name: str) -> None:
    found = [line for line in errors.splitlines() if line.startswith(f"wrong_{name}.ts")]

    assert len(found) == 1
    assert WRONG[name][-1] in found[0]
