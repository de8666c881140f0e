"""Arguments of the Ray Serve application, and the settings of its replicas."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from service.ray.application import deployment_options
from service.ray.arguments import ArgumentError, read_arguments
from service.settings import PREFIX, Settings, SettingsError


def test_arguments_may_be_text() -> None:
    arguments = read_arguments({"num_replicas": "2", "num_gpus": "0.5", "num_cpus": "4"})
    assert (arguments.num_replicas, arguments.num_gpus, arguments.num_cpus) == (2, 0.5, 4.0)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"replicas": "2"}, "replicas: is unknown: there are model, models, num_replicas"),
        ({"num_replicas": "two"}, "num_replicas: Input should be a valid integer"),
        ({"num_replicas": "0"}, "num_replicas: Input should be greater than 0"),
        ({"num_gpus": "1.5"}, "num_gpus above 1 must be a whole number"),
        ({"min_replicas": "2"}, "min_replicas needs max_replicas"),
        ({"target_ongoing_requests": "2"}, "target_ongoing_requests needs max_replicas"),
        ({"max_replicas": "2", "num_replicas": "2"}, "num_replicas cannot be combined"),
        ({"max_replicas": "2", "min_replicas": "3"}, "min_replicas must be at most max_replicas"),
    ],
    ids=str,
)
def test_wrong_arguments_are_named(given: dict[str, str], said: str) -> None:
    with pytest.raises(ArgumentError) as refused:
        read_arguments(given)
    assert refused.value.detail.startswith(said)


def test_a_fixed_number_of_replicas_has_no_autoscaling() -> None:
    assert read_arguments({"num_replicas": "2"}).autoscaling() is None


def test_autoscaling_aims_at_a_busy_device() -> None:
    assert read_arguments({"max_replicas": "4"}).autoscaling() == {
        "min_replicas": 1,
        "max_replicas": 4,
        "target_ongoing_requests": 16,
    }


def test_autoscaling_takes_what_is_given() -> None:
    given = {"max_replicas": "4", "min_replicas": "2", "upscale_delay_s": "1"}
    assert read_arguments(given).autoscaling() == {
        "min_replicas": 2,
        "max_replicas": 4,
        "target_ongoing_requests": 16,
        "upscale_delay_s": 1,
    }


@pytest.mark.parametrize(
    ("num_gpus", "device"),
    [("0", "cpu"), ("0.25", "cuda:0"), ("1", "cuda:0"), ("2", "cuda:0,cuda:1")],
)
def test_a_replica_computes_on_the_devices_that_ray_reserves(num_gpus: str, device: str) -> None:
    assert read_arguments({"num_gpus": num_gpus}).settings().device == device


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}MODEL", "of-the-environment")
    monkeypatch.setenv(f"{PREFIX}QUEUE_SIZE", "7")
    monkeypatch.setenv(f"{PREFIX}DEVICE", "cuda:3")
    monkeypatch.setenv(f"{PREFIX}WORKERS", "4")
    settings = read_arguments({}).settings()
    assert (settings.model, settings.queue_size) == ("of-the-environment", 7)
    assert (settings.device, settings.workers) == ("cuda:3", 1)  # replicas are the workers


def test_arguments_precede_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}MODEL", "of-the-environment")
    settings = read_arguments({"model": "given", "models": "/srv/models"}).settings()
    assert (settings.model, settings.models) == ("given", Path("/srv/models"))


def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}QUEUE_SIZE", "many")
    with pytest.raises(SettingsError, match="LRPSERVE_QUEUE_SIZE is wrong"):
        read_arguments({}).settings()


def test_settings_reach_replicas_whatever_their_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(f"{PREFIX}QUEUE_SIZE", "7")
    pickled = pickle.dumps(read_arguments({}).settings())
    monkeypatch.delenv(f"{PREFIX}QUEUE_SIZE")
    assert pickle.loads(pickled).queue_size == 7


def test_a_replica_takes_more_requests_than_its_queue_has_places() -> None:
    options = deployment_options(Settings(queue_size=500))
    assert options["max_ongoing_requests"] > 500
    assert options["max_queued_requests"] > 500
