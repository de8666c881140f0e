"""The README is true: its commands are run, its output is compared, its tables are complete."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service import errors
from service.api.request.options import ExplainOptions, PredictOptions
from service.imaging.colormaps import COLORMAPS
from service.methods import ATTRIBUTORS, COMPOSITES, RULES, TYPES, all_parameters
from service.settings import PREFIX, Settings
from tests.helpers.servers import RunningServer, running_server
from tests.helpers.tools import find_tool

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
README_PORT = "8000"
ELIDED = "..."


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def table_rows(heading: str) -> dict[str, list[str]]:
    """The rows of the tables under a heading, by the code in their first cells."""
    section = re.split(r"\n#+ ", README.split(f"# {heading}\n", 1)[1])[0]
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in section.splitlines() if "|" in line]
    return {row[0].strip().strip("`"): [cell.strip() for cell in row[1:]] for row in rows}


def commands(start: str) -> list[str]:
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    return [line for line in lines if line.startswith(start)]


@pytest.fixture(scope="module")
def readme_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """The service, started as the README says, but on a free port."""
    command = ("make", "-C", str(ROOT), "serve", "PORT=0")
    clean = {"MAKEFLAGS": "", "MAKELEVEL": ""}
    with running_server(tmp_path_factory.mktemp("make"), clean, command) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path, cat: Path) -> Path:
    """Where a reader would type: the README's pictures, and a photo of their own."""
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    shutil.copy(cat, tmp_path / "cat.jpg")
    return tmp_path


def run(command: str, folder: Path, url: str = "") -> str:
    if command.startswith("curl"):
        find_tool("curl")
    adapted = command.replace(f"localhost:{README_PORT}", url.removeprefix("http://"))
    adapted = adapted.replace(".venv/bin/", f"{Path(sys.executable).parent}/")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", adapted],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def assert_matches(shown: Any, answered: Any, where: str = "answer") -> None:
    """Equal, but for what the README cuts short and the last digits of numbers."""
    if isinstance(shown, dict):
        assert list(shown) == list(answered), where
        for key, value in shown.items():
            assert_matches(value, answered[key], f"{where}.{key}")
    elif isinstance(shown, list) and ELIDED in shown:
        assert len(shown) <= len(answered), where
        assert_matches(shown[: shown.index(ELIDED)], answered[: shown.index(ELIDED)], where)
    elif isinstance(shown, list):
        assert len(shown) == len(answered), where
        for index, value in enumerate(shown):
            assert_matches(value, answered[index], f"{where}[{index}]")
    elif isinstance(shown, str) and shown.endswith(ELIDED):
        assert answered.startswith(shown.removesuffix(ELIDED)), where
    elif isinstance(shown, float):
        assert answered == pytest.approx(shown, rel=1e-3), where
    else:
        assert shown == answered, where


def test_the_first_curl_gives_the_output_that_the_readme_shows(
    readme_server: RunningServer, folder: Path
) -> None:
    answered = json.loads(run(commands("curl")[0], folder, readme_server.url))
    assert_matches(json.loads(blocks("json")[0]), answered)


def test_the_second_curl_writes_a_picture(readme_server: RunningServer, folder: Path) -> None:
    run(commands("curl")[1], folder, readme_server.url)
    assert (folder / "heatmap.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("index", range(2, len(commands("curl"))))
def test_the_other_curls_give_answers(
    readme_server: RunningServer, folder: Path, index: int
) -> None:
    block = next(one for one in blocks("sh") if commands("curl")[index] in one)
    answered = json.loads(run(block.replace("curl -s ", "curl -sf "), folder, readme_server.url))
    explanations = answered.get("explanations", [answered])
    assert all(one["heatmap"] for one in explanations)
    assert answered["method"]["composite"] == "custom" or len(explanations) == 2
    assert answered["layers_without_rule"] == []


def test_each_form_of_a_request_is_answered(readme_server: RunningServer, folder: Path) -> None:
    encoded = run("base64 -w0 cat.jpg", folder)
    examples = [cells[0].strip("`") for cells in table_rows("Requests").values()]
    curls = [example for example in examples if example.startswith("curl")]
    assert len(curls) == 3
    for curl in curls:
        command = curl.replace("iVBORw0K...", encoded).replace("curl ", "curl -sf ")
        assert json.loads(run(command, folder, readme_server.url))["target"]["label"] == "dog"


def test_the_python_example_gives_an_array(readme_server: RunningServer, folder: Path) -> None:
    code = blocks("python")[0].replace(f"http://localhost:{README_PORT}", readme_server.url)
    (folder / "example.py").write_text(f"{code}\nprint(relevance.shape, relevance.dtype)\n")
    assert run(".venv/bin/python example.py", folder).strip() == "(32, 32) float32"


@pytest.mark.parametrize("subcommand", ["predict", "explain", "models", "verify", "key"])
def test_the_command_line_examples_work(subcommand: str, folder: Path) -> None:
    (command,) = [c for c in commands(".venv/bin/lrpserve") if c.split()[1] == subcommand]
    printed = run(command, folder)
    assert printed.strip() or list((folder / "out").iterdir())


@pytest.mark.parametrize("subcommand", ["train", "evaluate", "report"])
def test_the_training_examples_name_options_that_exist(subcommand: str, folder: Path) -> None:
    (command,) = [c for c in commands(".venv/bin/python -m training") if subcommand in c.split()]
    shown = run(f".venv/bin/python -m training {subcommand} --help", ROOT)
    for option in re.findall(r"--[a-z-]+", command):
        assert option in shown


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_documented_with_its_default(name: str) -> None:
    default = Settings.model_fields[name].default
    shown = table_rows("Settings")[PREFIX + name.upper()][0].strip("`")
    expected = (
        "none"
        if default in (None, ())
        else format(default, "g" if isinstance(default, float) else "")
    )
    assert shown == expected


def _as_sent(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@pytest.mark.parametrize("name", sorted(set(ExplainOptions.model_fields) - set(all_parameters())))
def test_every_option_is_documented_with_its_default(name: str) -> None:
    field = ExplainOptions.model_fields[name]
    shown = table_rows("Requests")[name][0].strip("`")
    default = field.default[0] if name == "output" else field.default
    if default is not None:
        assert shown == _as_sent(default)


@pytest.mark.parametrize("name", all_parameters())
def test_every_parameter_is_documented_with_its_default(name: str) -> None:
    default = all_parameters()[name].default
    shown = table_rows("Methods")[name][0]
    if default is not None:
        assert shown == _as_sent(default)


@pytest.mark.parametrize("name", [*COMPOSITES, *ATTRIBUTORS])
def test_every_method_is_documented_with_its_parameters(name: str) -> None:
    entry = COMPOSITES.get(name) or ATTRIBUTORS[name]
    own = ", ".join(f"`{parameter.name}`" for parameter in entry.parameters)
    assert table_rows("Methods")[name][-1] == (own or "none")


def test_options_of_predict_stand_before_those_of_explain() -> None:
    documented = [name for name in table_rows("Requests") if name in ExplainOptions.model_fields]
    assert set(documented[: len(PredictOptions.model_fields)]) == set(PredictOptions.model_fields)


@pytest.mark.parametrize("name", [*COMPOSITES, *ATTRIBUTORS, *RULES, *TYPES, *COLORMAPS])
def test_every_value_of_a_registry_is_documented(name: str) -> None:
    assert f"`{name}`" in README


def http_errors(root: type[errors.ServiceError]) -> Iterator[type[errors.ServiceError]]:
    for kind in root.__subclasses__():
        if kind.__module__ == errors.__name__:
            yield kind
            yield from http_errors(kind)


ABSTRACT = (errors.RequestError, errors.Unavailable)
NOT_ON_THE_WIRE = (errors.BundleError,)


@pytest.mark.parametrize(
    "kind",
    [k for k in http_errors(errors.ServiceError) if k not in (*ABSTRACT, *NOT_ON_THE_WIRE)],
    ids=lambda kind: kind.__name__,
)
def test_every_error_is_documented_with_its_status(kind: type[errors.ServiceError]) -> None:
    rows = [line for line in README.splitlines() if f"`{kind.type}`" in line]
    assert any(str(kind.status) in row.split("|")[1] for row in rows)


def test_what_the_readme_links_to_is_there() -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert targets
    for target in targets:
        assert (ROOT / target).exists(), target


def test_the_changelog_has_an_entry_for_the_version() -> None:
    from service import __version__

    assert f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
