"""`lrpserve ray`: its arguments, without starting Ray."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from service.settings import PREFIX
from tests.commands.command_line import Lrpserve, assert_one_sentence


@pytest.fixture(autouse=True)
def no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail where Ray would be started."""

    def start(address: str, *, has_dashboard: bool) -> None:
        raise AssertionError(address)

    monkeypatch.setattr("service.commands.ray.start_ray", start)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--replicas", "0"), "num_replicas"),
        (("--min-replicas", "2"), "min_replicas needs max_replicas"),
        (("--num-gpus", "some"), "num_gpus: Input should be a valid number"),
        (("--model", "no-such-model"), "'no-such-model'"),
        (("--host", "unix:/tmp/socket"), "Ray does not listen on unix sockets"),
        (("--host", "host.invalid"), "cannot listen on host.invalid"),
    ],
    ids=str,
)
def test_wrong_arguments_are_one_sentence(
    lrpserve: Lrpserve, arguments: tuple[str, ...], said: str
) -> None:
    assert_one_sentence(lrpserve("ray", *arguments), said)


def test_a_certificate_that_cannot_be_used_is_one_sentence(
    lrpserve: Lrpserve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = tmp_path / "tls.crt"
    certificate.write_text("no certificate")
    monkeypatch.setenv(f"{PREFIX}TLS_CERT", str(certificate))
    assert_one_sentence(lrpserve("ray"), str(certificate))


def test_without_the_extra_it_is_named(lrpserve: Lrpserve, monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        "service.ray.cluster.find_spec", lambda name: None if name == "ray" else find_spec(name)
    )
    assert_one_sentence(lrpserve("ray"), "pip install 'lrpserve[ray]'")
