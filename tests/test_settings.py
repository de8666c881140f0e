"""Settings: read from the environment once, checked, and named when they are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from service.settings import PREFIX, Settings, SettingsError, load_settings

DEFAULTS = {
    "device": "auto",
    "model": "minivgg-cifar10",
    "models": None,
    "architectures": (),
    "max_body_bytes": 10_000_000,
    "max_pixels": 40_000_000,
    "queue_size": 256,
    "deadline_s": 30.0,
    "stall_s": 60.0,
    "grace_s": 0.0,
    "cors_origins": (),
}

# text in the environment, and the value that it means
GIVEN = {
    "device": ("cuda:1", "cuda:1"),
    "model": ("/models/my own", "/models/my own"),
    "models": ("/my models", Path("/my models")),
    "architectures": ("mynets, other.nets,", ("mynets", "other.nets")),
    "max_body_bytes": ("1000", 1000),
    "max_pixels": ("1", 1),
    "queue_size": ("4", 4),
    "deadline_s": ("0.5", 0.5),
    "stall_s": ("90", 90.0),
    "grace_s": ("10", 10.0),
    "cors_origins": (
        "https://a.example, https://b.example,",
        ("https://a.example", "https://b.example"),
    ),
}

WRONG = [
    ("max_body_bytes", "0"),
    ("max_body_bytes", "10MB"),
    ("max_pixels", "-1"),
    ("max_pixels", "1e6"),
    ("queue_size", "0"),
    ("queue_size", ""),
    ("queue_size", "1.5"),
    ("deadline_s", "0"),
    ("deadline_s", "inf"),
    ("deadline_s", "nan"),
    ("deadline_s", "soon"),
    ("stall_s", "0"),
    ("grace_s", "-1"),
    ("grace_s", "inf"),
]


def test_without_an_environment_the_defaults_hold() -> None:
    assert load_settings().model_dump() == DEFAULTS


@pytest.mark.parametrize("name", Settings.model_fields)
def test_each_setting_is_read_from_its_variable(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text, value = GIVEN[name]
    monkeypatch.setenv(PREFIX + name.upper(), text)
    assert load_settings().model_dump() == DEFAULTS | {name: value}


@pytest.mark.parametrize(("name", "text"), WRONG)
def test_a_wrong_value_is_refused_by_the_name_of_its_variable(
    name: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PREFIX + name.upper(), text)
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert refused.value.detail.startswith(f"{PREFIX}{name.upper()} is wrong: ")
    assert "\n" not in refused.value.detail


def test_an_empty_folder_of_models_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}MODELS", "")
    assert load_settings().models is None


def test_what_is_given_takes_precedence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}DEVICE", "cuda")
    assert load_settings(device="cpu").device == "cpu"


def test_variables_of_others_are_let_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}HOST", "0.0.0.0")
    monkeypatch.setenv("DEVICE", "cuda")
    assert load_settings().model_dump() == DEFAULTS


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load_settings().device = "cuda"  # type: ignore[misc]


@pytest.mark.parametrize("name", Settings.model_fields)
def test_each_setting_says_what_it_is_for(name: str) -> None:
    assert Settings.model_fields[name].description
