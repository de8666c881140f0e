"""Settings: read from the environment once, checked, and named when they are wrong."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from service.settings import PREFIX, Settings, SettingsError, load_settings

KEY = "a-key-of-the-tests"
KEY_HASH = "sha256:fe5cf6eef1dc1ca10d8bfa761cf662da62aba67f81b3dd7665e5feaec19643d8"
STORAGE = "redis://:secret@redis.example:6379/0"

DEFAULTS = {
    "device": "auto",
    "workers": 1,
    "model": "minivgg-cifar10",
    "model_name": None,
    "model_control": "keys",
    "watch_s": 0.0,
    "grpc_port": None,
    "models": None,
    "architectures": (),
    "max_body_bytes": 10_000_000,
    "max_bodies_bytes": 256_000_000,
    "max_connections": 16_384,
    "max_pixels": 40_000_000,
    "max_picture_pixels": 1 << 24,
    "max_images": 32,
    "decode_pixels": 320_000_000,
    "max_batch_size": None,
    "queue_size": 256,
    "deadline_s": 30.0,
    "receive_s": 30.0,
    "stall_s": 60.0,
    "hang_s": 30.0,
    "max_passes": 1280,
    "grace_s": 0.0,
    "log_format": "text",
    "log_level": "info",
    "root_path": "",
    "cors_origins": (),
    "api_keys": (),
    "rate_limit": None,
    "rate_limit_storage": None,
    "rate_limit_fail": "open",
    "cache_bytes": 0,
    "tls_cert": None,
    "tls_key": None,
    "tls_key_password": None,
    "commit": None,
}

# text of the variable, and the value of the setting
GIVEN = {
    "root_path": ("/team-1/lrp/", "/team-1/lrp"),
    "device": ("cuda:1", "cuda:1"),
    "workers": ("2", 2),
    "model": ("/models/my own", "/models/my own"),
    "model_name": ("horses", "horses"),
    "model_control": ("open", "open"),
    "watch_s": ("2.5", 2.5),
    "grpc_port": ("9000", 9000),
    "models": ("/my models", Path("/my models")),
    "architectures": ("mynets, other.nets,", ("mynets", "other.nets")),
    "max_body_bytes": ("1000", 1000),
    "max_bodies_bytes": ("2000", 2000),
    "max_connections": ("100", 100),
    "max_pixels": ("1", 1),
    "max_picture_pixels": ("65536", 65_536),
    "max_images": ("4", 4),
    "decode_pixels": ("1000", 1000),
    "max_batch_size": ("8", 8),
    "queue_size": ("4", 4),
    "deadline_s": ("0.5", 0.5),
    "receive_s": ("5", 5.0),
    "stall_s": ("90", 90.0),
    "hang_s": ("60", 60.0),
    "max_passes": ("100", 100),
    "grace_s": ("10", 10.0),
    "log_format": ("json", "json"),
    "log_level": ("warning", "warning"),
    "cors_origins": (
        "https://a.example, https://b.example,",
        ("https://a.example", "https://b.example"),
    ),
    "api_keys": (f"{KEY}, ,{KEY_HASH.upper()},", (KEY_HASH,)),
    "rate_limit": ("10/second;1000/hour", "10/second;1000/hour"),
    "rate_limit_storage": (f"async+{STORAGE}", SecretStr(STORAGE)),
    "rate_limit_fail": ("closed", "closed"),
    "cache_bytes": ("1000000", 1_000_000),
    "tls_cert": ("/tls/tls.crt", Path("/tls/tls.crt")),
    "tls_key": ("/tls/tls.key", Path("/tls/tls.key")),
    "tls_key_password": ("secret", SecretStr("secret")),
    "commit": ("0a1b2c3", "0a1b2c3"),
}

# settings that a setting requires
NEEDED = {"rate_limit": {"api_keys": KEY_HASH}, "tls_key": {"tls_cert": "/tls/tls.crt"}}

WRONG = [
    ("root_path", "lrp"),
    ("root_path", "http://host/lrp"),
    ("root_path", "/a b"),
    ("max_body_bytes", "0"),
    ("max_body_bytes", "10MB"),
    ("max_bodies_bytes", "0"),
    ("max_connections", "0"),
    ("max_pixels", "-1"),
    ("max_picture_pixels", "65535"),
    ("max_images", "0"),
    ("max_pixels", "1e6"),
    ("queue_size", "0"),
    ("queue_size", ""),
    ("queue_size", "1.5"),
    ("deadline_s", "0"),
    ("deadline_s", "inf"),
    ("deadline_s", "nan"),
    ("deadline_s", "soon"),
    ("receive_s", "0"),
    ("receive_s", "inf"),
    ("workers", "0"),
    ("workers", "many"),
    ("max_batch_size", "0"),
    ("log_format", "xml"),
    ("log_level", "loud"),
    ("stall_s", "0"),
    ("hang_s", "0"),
    ("max_passes", "0"),
    ("grace_s", "-1"),
    ("grace_s", "inf"),
    ("cors_origins", "*"),
    ("cors_origins", "https://a.example, https://b.example/"),
    ("api_keys", "too-short-a-key"),
    ("api_keys", f"{KEY},short"),
    ("api_keys", "sha256:1234"),
    ("api_keys", f"{KEY_HASH}0"),
    ("rate_limit", "100"),
    ("rate_limit", "100/fortnight"),
    ("rate_limit", "often"),
    ("rate_limit", "0/minute"),
    ("rate_limit", "10/second;0/hour"),
    ("rate_limit", "-1/minute"),
    ("rate_limit_storage", "redis"),
    ("rate_limit_storage", "redis://host"),
    ("rate_limit_storage", "redis://host:6379/zero"),
    ("rate_limit_storage", "redis://user@name:password@host:6379"),
    ("rate_limit_storage", "https://host:6379"),
    ("rate_limit_storage", "memcached://host:11211"),
    ("rate_limit_storage", "redis+unix://"),
    ("rate_limit_fail", "maybe"),
    ("cache_bytes", "-1"),
    ("cache_bytes", "1GB"),
]


def test_without_an_environment_the_defaults_hold() -> None:
    assert load_settings().model_dump() == DEFAULTS


@pytest.mark.parametrize("name", Settings.model_fields)
def test_each_setting_is_read_from_its_variable(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text, value = GIVEN[name]
    needed = NEEDED.get(name, {})
    for other, other_text in needed.items():
        monkeypatch.setenv(PREFIX + other.upper(), other_text)
    monkeypatch.setenv(PREFIX + name.upper(), text)
    expected = DEFAULTS | {other: GIVEN[other][1] for other in needed} | {name: value}
    assert load_settings().model_dump() == expected


@pytest.mark.parametrize(("name", "text"), WRONG)
def test_a_wrong_value_is_refused_by_the_name_of_its_variable(
    name: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for other, other_text in NEEDED.get(name, {}).items():
        monkeypatch.setenv(PREFIX + other.upper(), other_text)
    monkeypatch.setenv(PREFIX + name.upper(), text)
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert refused.value.detail.startswith(f"{PREFIX}{name.upper()} is wrong: ")
    assert "\n" not in refused.value.detail


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"api_keys": "short-secret"}, "at least 16 characters; make one: lrpserve key"),
        ({"api_keys": "sha256:short-secret"}, "must be 64 hex digits; make one: lrpserve key"),
        ({"cors_origins": "https://a.example/"}, "of https://a.example/ write https://a.example$"),
        ({"cors_origins": "page.example"}, "like https://page.example or http://localhost:3000"),
        ({"rate_limit": "often", "api_keys": KEY}, "must be a limit like 100/minute"),
        ({"rate_limit": "100/minute"}, "set LRPSERVE_API_KEYS too"),
        ({"tls_key": "/tls/tls.key"}, "set LRPSERVE_TLS_CERT too"),
        ({"tls_key": "/tls/tls.key", "tls_cert": ""}, "set LRPSERVE_TLS_CERT too"),
        ({"rate_limit_storage": "redis://:secret@host"}, "memory:// or redis://HOST:PORT/0"),
    ],
)
def test_the_message_says_what_to_do_and_shows_no_secret(
    settings: dict[str, str], said: str
) -> None:
    with pytest.raises(SettingsError, match=said) as refused:
        load_settings(**settings)
    assert "secret" not in str(refused.value)
    assert "Value error" not in str(refused.value)


def test_the_settings_hold_no_key_in_plain_text() -> None:
    settings = load_settings(api_keys=f"{KEY},{'0' * 16}")
    assert settings.api_keys[0] == KEY_HASH
    assert len(settings.api_keys) == 2
    for shown in (repr(settings), settings.model_dump_json(), str(vars(settings))):
        assert KEY not in shown
        assert "0" * 16 not in shown


def test_validation_errors_show_no_key() -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(api_keys=("short-secret",))
    assert "short-secret" not in str(refused.value)


@pytest.mark.parametrize(
    "uri",
    [
        *("memory://", "redis://localhost:6379", "redis://[::1]:6379/2?socket_keepalive=true"),
        *("rediss://me:p%40ss@redis.example:6380/0", "redis+unix:///run/redis.sock?db=1"),
    ],
)
def test_the_uri_of_a_storage_is_kept_and_not_shown(uri: str) -> None:
    settings = load_settings(rate_limit_storage=uri)
    assert settings.rate_limit_storage
    assert settings.rate_limit_storage.get_secret_value() == uri
    assert uri not in repr(settings)


def test_a_redis_without_its_client_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    assert load_settings(rate_limit_storage="memory://").rate_limit_storage
    with pytest.raises(SettingsError, match=r"pip install 'lrpserve\[redis\]'"):
        load_settings(rate_limit_storage=STORAGE)


@pytest.mark.parametrize("name", ["models", "tls_cert", "tls_key", "tls_key_password"])
def test_an_empty_file_folder_or_password_is_none(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(f"{PREFIX}{name.upper()}", "")
    assert getattr(load_settings(), name) is None


def test_arguments_take_precedence_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}DEVICE", "cuda")
    assert load_settings(device="cpu").device == "cpu"


def test_other_variables_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}HOST", "0.0.0.0")
    monkeypatch.setenv("DEVICE", "cuda")
    assert load_settings().model_dump() == DEFAULTS


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load_settings().device = "cuda"  # type: ignore[misc]


@pytest.mark.parametrize("name", Settings.model_fields)
def test_each_setting_has_a_description(name: str) -> None:
    assert Settings.model_fields[name].description


@pytest.mark.parametrize(
    ("text", "devices"),
    [
        ("auto", ("auto",)),
        ("cuda:0, cuda:1,", ("cuda:0", "cuda:1")),
        ("", ("auto",)),
    ],
)
def test_devices_are_separated_by_commas(text: str, devices: tuple[str, ...]) -> None:
    assert load_settings(device=text).devices == devices
