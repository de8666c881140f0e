"""When a process counts as hung, and when its end is forced."""

from __future__ import annotations

import time

import pytest

from service.server.watchdog import EndLimits, Silence
from service.settings import Settings


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, in a list of one item."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_silence_lasts_from_the_last_beat(clock: list[float]) -> None:
    beats = [7]
    silence = Silence(lambda: beats[0])
    for seconds in (0.5, 1.0, 1.5):
        clock[0] += 0.5
        assert silence.observe() == seconds
    beats[0] = 8
    assert silence.observe() == 0


def test_an_observer_that_was_stopped_itself_has_heard_nothing(clock: list[float]) -> None:
    silence = Silence(lambda: 7)
    clock[0] += 3_600
    assert silence.observe() == 1


@pytest.mark.parametrize(
    ("since_signal_s", "silence_s", "is_over"),
    [
        (4.9, 100, False),  # the grace period of others is not over
        (5, 9, False),
        (5, 10, True),
        (24.9, 0, False),  # the last request has its deadline
        (30, 0, True),
    ],
)
def test_the_end_is_forced_after_the_grace_period(
    since_signal_s: float, silence_s: float, is_over: bool
) -> None:
    settings = Settings(grace_s=5, deadline_s=20, hang_s=30)
    assert EndLimits(settings).is_over(since_signal_s, silence_s) is is_over
