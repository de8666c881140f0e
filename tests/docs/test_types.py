"""`docs/lrpserve.d.ts` is what the API says, and TypeScript's compiler holds programs to it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.helpers.tools import cannot_run, find_tool

ROOT = Path(__file__).parents[2]
TYPES = ROOT / "docs" / "lrpserve.d.ts"
GUIDE = (ROOT / "docs" / "frontend.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
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
    """The command that the Makefile has for the tools of TypeScript, which have been fetched."""
    find_tool("npx", "npm")
    (command,) = re.findall(r"^NPX := (.*)$", MAKEFILE, re.MULTILINE)
    parts: list[str] = command.split()
    done = subprocess.run([*parts, "tsc", "--version"], capture_output=True, check=False)
    if done.returncode:
        cannot_run("npx cannot fetch TypeScript")
    return parts


@pytest.fixture(scope="module")
def errors(npx: list[str], tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the compiler says of the program of the guide, and of what is wrong in one place."""
    folder = tmp_path_factory.mktemp("typescript")
    (folder / TYPES.name).write_bytes(TYPES.read_bytes())
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


def test_the_types_are_those_of_the_document(npx: list[str], tmp_path: Path) -> None:
    made = tmp_path / TYPES.name
    subprocess.run(
        ["make", "types", f"TYPES={made}"], cwd=ROOT, capture_output=True, check=True, timeout=100
    )
    assert made.read_bytes() == TYPES.read_bytes(), "make types, and commit what it has made"


def test_a_program_that_is_right_compiles(errors: str) -> None:
    assert [line for line in errors.splitlines() if not line.startswith("wrong_")] == []


@pytest.mark.parametrize("name", WRONG)
def test_a_program_that_is_wrong_does_not(errors: str, name: str) -> None:
    found = [line for line in errors.splitlines() if line.startswith(f"wrong_{name}.ts")]

    assert len(found) == 1
    assert WRONG[name][-1] in found[0]
