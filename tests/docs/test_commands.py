"""The documentation's commands work: they are run, and the output that is shown is compared."""

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
from typer.testing import CliRunner

from tests.docs.markdown import ROOT, Block, blocks, pages
from tests.helpers.servers import RunningServer, running_server
from tests.helpers.tools import find_tool

SHOWN_URL = re.compile(r"(?:http://)?(?:localhost|127\.0\.0\.1):8000")
ELIDED = "..."
SMALLER = "--size 64 --resize 72"  # a twelfth of the pixels, so that an import takes seconds
MAGIC = {".png": b"\x89PNG", ".npy": b"\x93NUMPY"}
# what a block exports holds for the blocks below it, as in a reader's shell
_RESTORE, _KEEP = "[ ! -f .exported ] || . ./.exported", "export -p > .exported"


def page_names() -> list[str]:
    """The pages that have a command or a program."""
    return [
        str(page.relative_to(ROOT))
        for page in pages()
        if any(block.language in ("sh", "python") and block.is_run for block in blocks(page))
    ]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """The service, started as the README says, but on a free port."""
    command = ("make", "-C", str(ROOT), "serve", "PORT=0")
    clean = {"MAKEFLAGS": "", "MAKELEVEL": ""}
    with running_server(tmp_path_factory.mktemp("make"), clean, command) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path, cat: Path) -> Path:
    """Where a reader would type: the repository's pictures, and files of their own."""
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    shutil.copy(cat, tmp_path / "cat.jpg")
    (tmp_path / "images").mkdir()
    shutil.copy(cat, tmp_path / "images" / "cat.jpg")
    shutil.copy(ROOT / "docs" / "horse.jpg", tmp_path / "images")
    return tmp_path


def run(command: str, folder: Path, url: str) -> str:
    """Run commands as a reader would, and return what they print."""
    if "curl" in command:
        find_tool("curl")
    adapted = SHOWN_URL.sub(url, command).replace(".venv/bin/", f"{Path(sys.executable).parent}/")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f"{_RESTORE}\n{adapted}\n{_KEEP}"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def run_block(block: Block, folder: Path, url: str) -> None:
    """Run a block of a page, and compare its output with what is shown below it."""
    file = re.match(r"# (\w+\.py)\n", block.text)
    if file:
        (folder / file[1]).write_text(SHOWN_URL.sub(url, block.text))
    elif block.language == "python":
        (folder / "example.py").write_text(SHOWN_URL.sub(url, block.text))
        run(".venv/bin/python example.py", folder, url)
    elif block.text.strip() != "make serve":  # it runs already
        # a request that fails ends the commands, unless what is shown is the problem
        shows_problem = block.shown is not None and "urn:lrpserve:problem" in block.shown.text
        flag = "curl -s " if shows_problem else "curl -s --fail-with-body "
        command = block.text.replace("--size 224 --resize 256", SMALLER)
        printed = run(command.replace("curl -s ", flag), folder, url)
        if block.shown is not None and block.shown.language == "json":
            assert_matches(json.loads(block.shown.text), json.loads(printed))
        for name, suffix in re.findall(r" -o (\w+(\.png|\.npy))", block.text):
            assert (folder / name).read_bytes().startswith(MAGIC[suffix])


def assert_matches(shown: Any, answered: Any, where: str = "response") -> None:
    """Equal, but for what the page cuts short and the last digits of numbers."""
    if isinstance(shown, dict):
        assert list(shown) == list(answered), where
        for key, value in shown.items():
            assert_matches(value, answered[key], f"{where}.{key}")
    elif isinstance(shown, list) and ELIDED in shown:
        length = shown.index(ELIDED)
        assert length < len(answered), where
        assert_matches(shown[:length], answered[:length], where)
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


def prepare_own_network(folder: Path) -> None:
    """The files that a reader of that page brings: weights and labels."""
    import torch
    from torchvision.models import resnet18

    torch.save(resnet18().state_dict(), folder / "resnet18.pth")
    small = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.Linear(8 * 8 * 8, 1000))
    weights = small.state_dict()
    renamed = {key.replace("1.", "4.", 1): value for key, value in weights.items()}
    torch.save(renamed, folder / "small.pt")
    (folder / "labels.txt").write_text("".join(f"class {n}\n" for n in range(1000)))


@pytest.mark.timeout(300)  # many commands load torch, one after another; each has its own limit
@pytest.mark.parametrize("name", page_names())
def test_the_commands_of_a_page_work(service: RunningServer, folder: Path, name: str) -> None:
    if name.endswith("own-network.md"):
        prepare_own_network(folder)
    runnable = [b for b in blocks(ROOT / name) if b.language in ("sh", "python") and b.is_run]
    for block in runnable:
        run_block(block, folder, service.url)


def test_each_form_of_a_request_gets_a_response(service: RunningServer, folder: Path) -> None:
    page = (ROOT / "docs" / "reference" / "api.md").read_text()
    curls = re.findall(r"^\| .* \| `(curl .*)` \|$", page, re.MULTILINE)
    encoded = run("base64 -w0 cat.jpg", folder, service.url)
    assert len(curls) == 3
    for curl in curls:
        command = curl.replace("iVBORw0K...", encoded).replace("curl ", "curl -sf ")
        assert json.loads(run(command, folder, service.url))["target"]["label"] == "dog"


@pytest.mark.parametrize("subcommand", ["train", "evaluate", "report"])
def test_the_training_commands_name_options_that_exist(subcommand: str) -> None:
    from training.__main__ import app

    page = (ROOT / "docs" / "how-to" / "train.md").read_text()
    commands = re.findall(rf"^\.venv/bin/python -m training {subcommand} .*$", page, re.MULTILINE)
    assert commands
    shown = CliRunner().invoke(app, [subcommand, "--help"]).output
    for option in re.findall(r"--[a-z-]+", " ".join(commands)):
        assert option in shown
