"""`lrpserve`: help, version, keys, and errors of one sentence."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from service import __version__
from service.settings import DEFAULT_MODEL, PREFIX, Settings
from tests.commands.command_line import CommandResult, Lrpserve, assert_one_sentence

COMMANDS = ("serve", "ray", "predict", "explain", "models", "import", "verify", "key")


def test_key_prints_a_new_key_and_its_hash(lrpserve: Lrpserve) -> None:
    done = [lrpserve("key") for _ in range(2)]
    made = [one.out.split() for one in done]
    assert [(one.code, one.err) for one in done] == [(0, ""), (0, "")]
    for key, hashed in made:
        assert len(key) >= 43  # 256 bits
        assert hashed == "sha256:" + hashlib.sha256(key.encode()).hexdigest()
        assert Settings(api_keys=(key,)) == Settings(api_keys=(hashed,))
    assert made[0] != made[1]


def test_version(lrpserve: Lrpserve) -> None:
    assert lrpserve("--version") == CommandResult(0, f"lrpserve {__version__}\n", "")


def test_help_lists_the_commands(lrpserve: Lrpserve) -> None:
    done = lrpserve("--help")
    assert done.code == 0
    for command in COMMANDS:
        assert f"  {command} " in done.out


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_each_command_shows_an_example(lrpserve: Lrpserve, command: str) -> None:
    done = lrpserve(command, "--help")
    assert done.code == 0
    assert f"Example: lrpserve {command}" in done.out


@pytest.mark.parametrize("command", ["serve", "predict", "models"])
def test_an_invalid_setting_is_one_sentence(
    lrpserve: Lrpserve, photos: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{PREFIX}MAX_PIXELS", "lots")
    images = [photos / "a" / "cat.jpg"] if command == "predict" else []
    assert_one_sentence(lrpserve(command, *images), "LRPSERVE_MAX_PIXELS is wrong")


def test_an_unknown_model_is_one_sentence(
    lrpserve: Lrpserve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{PREFIX}MODEL", "no-such-model")
    for command in ("serve", "models"):
        assert_one_sentence(lrpserve(command), "'no-such-model'", DEFAULT_MODEL)


WRONG_USAGE = [
    ("explain",),
    ("predict",),
    ("paint",),
    ("serve", "--x"),
    ("serve", "--port", "65536"),
    ("serve", "--port", "-1"),
]


@pytest.mark.parametrize("arguments", WRONG_USAGE, ids=" ".join)
def test_wrong_usage_ends_with_2_and_no_traceback(
    lrpserve: Lrpserve, arguments: tuple[str, ...]
) -> None:
    done = lrpserve(*arguments)
    assert done.code == 2
    assert "Error: " in done.err
    assert "Traceback" not in done.err
