"""Files that make a model, or an image, unusable: one sentence, exit status 2, soon."""

from __future__ import annotations

import json
import os
import resource
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from service.commands.importing import serve_command
from service.models.builtin import LAST_LAYERS
from service.models.card import CARD_FILE, read_card
from tests.helpers.servers import copy_bundle

MEMORY_LIMIT_BYTES = 2**33  # of addresses: torch alone takes half of it
LIMIT_S = 60.0
TORCH_IS_LOADED = "torch is loaded"
PROGRAM = f"""
import sys
from service.commands.__main__ import run
try:
    run()
finally:
    if "torch" in sys.modules:
        print("{TORCH_IS_LOADED}")
"""


def lrpserve(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command with limits of memory and time."""
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, arguments)],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_S,
        preexec_fn=limit_memory,
    )


def limit_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))


def assert_one_sentence(done: subprocess.CompletedProcess[str], said: str) -> None:
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert said in line


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with weights of three classes, and three labels."""
    layer = LAST_LAYERS["resnet18"]
    torch.save({f"{layer}.weight": torch.zeros(3, 512)}, tmp_path / "weights.pt")
    save_file({f"{layer}.weight": torch.zeros(3, 512)}, tmp_path / "weights.safetensors")
    (tmp_path / "labels.txt").write_text("cat\ndog\nbird\n")
    return tmp_path


def import_files(
    folder: Path, name: str = "mine", weights: str = "weights.pt", labels: str = "labels.txt"
) -> subprocess.CompletedProcess[str]:
    numbers = ("--mean=0.5,0.5,0.5", "--std=0.5,0.5,0.5", "--size=32")
    given = (f"--weights={weights}", f"--labels={labels}", "--arch=resnet18")
    return lrpserve("import", *numbers, *given, name, cwd=folder)


@pytest.mark.parametrize("weights", ["weights.pt", "weights.safetensors"])
def test_a_wrong_number_of_labels_is_said_before_torch_is_loaded(files: Path, weights: str) -> None:
    (files / "labels.txt").write_text("cat\ndog\n")
    done = import_files(files, weights=weights)
    assert_one_sentence(done, f"labels.txt has 2 labels, but {weights} has weights for 3 classes")
    assert TORCH_IS_LOADED not in done.stdout


def test_a_bad_name_is_said_before_torch_is_loaded(files: Path) -> None:
    done = import_files(files, name="../mine")
    assert_one_sentence(done, "'../mine' cannot be a model's name")
    assert TORCH_IS_LOADED not in done.stdout


def make_sparse(path: Path) -> None:
    """A safetensors file of one tensor of 1 TB, none of which is on the disk."""
    tensor = {"dtype": "F32", "shape": [2**38], "data_offsets": [0, 2**40]}
    header = json.dumps({"weight": tensor}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    os.truncate(path, 8 + len(header) + 2**40)


def make_endless_header(path: Path) -> None:
    path.write_bytes(struct.pack("<Q", 2**63) + b"{}")


WEIGHTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "1 TB": (make_sparse, "bytes, and at most"),
    "header of 2^63 bytes": (make_endless_header, "is not a safetensors file"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "it is a device"),
    "pipe": (os.mkfifo, "it is a device, a pipe"),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_that_cannot_be_read_are_refused_before_torch_is_loaded(
    files: Path, name: str
) -> None:
    make, said = WEIGHTS[name]
    make(files / "made.safetensors")
    done = import_files(files, weights="made.safetensors")
    assert_one_sentence(done, said)
    assert TORCH_IS_LOADED not in done.stdout


def test_labels_without_end_are_refused(files: Path) -> None:
    assert_one_sentence(import_files(files, labels="/dev/zero"), "labels /dev/zero cannot be read")


def test_tensors_of_a_type_that_torch_lacks_are_refused(files: Path) -> None:
    tensor = {"dtype": "F4", "shape": [3, 2], "data_offsets": [0, 3]}
    header = json.dumps({"fc.weight": tensor}).encode()
    (files / "f4.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(3))
    done = import_files(files, weights="f4.safetensors")
    assert_one_sentence(done, "f4.safetensors has tensors of the type F4")


def make_deep(bundle: Path) -> None:
    (bundle / CARD_FILE).write_text("[" * 200_000)


def make_endless_card(bundle: Path) -> None:
    (bundle / CARD_FILE).unlink()
    (bundle / CARD_FILE).symlink_to("/dev/zero")


def make_large(bundle: Path) -> None:
    os.truncate(bundle / CARD_FILE, 2**30)


CARDS: dict[str, tuple[Callable[[Path], None], str]] = {
    "nested deeply": (make_deep, "nested too deeply"),
    "1 GB": (make_large, "it has 1,073,741,824 bytes"),
    "device": (make_endless_card, "it is a device"),
}


@pytest.mark.parametrize("name", CARDS)
def test_cards_that_cannot_be_read_are_refused(tmp_path: Path, name: str) -> None:
    make, said = CARDS[name]
    bundle = copy_bundle(tmp_path / "bundle")
    make(bundle)
    assert_one_sentence(lrpserve("serve", "--port=0", f"--model={bundle}", cwd=tmp_path), said)


def test_what_is_no_image_file_does_not_hold_up_the_others(
    tmp_path: Path, samples: list[Path]
) -> None:
    os.mkfifo(tmp_path / "pipe")
    images = (samples[0], "/dev/zero", tmp_path / "pipe", tmp_path)
    done = lrpserve("predict", *images, cwd=tmp_path)
    assert done.returncode == 2
    assert str(samples[0]) in done.stdout
    said = ["it is a device", "it is a device", "Is a directory"]
    for line, reason in zip(done.stderr.splitlines(), said, strict=True):
        assert line.startswith("error: ")
        assert reason in line


def test_the_command_that_serves_an_imported_model_needs_no_checkout(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("lrpserve")
    bundle = copy_bundle(tmp_path / "mine", name="mine")
    command = serve_command(tmp_path, read_card(bundle), str(program))
    done = subprocess.run(
        command.removesuffix("serve") + "models",
        cwd=tmp_path,
        shell=True,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "mine *" in done.stdout
