"""Logging: one line for each event, with its fields, as text or JSON."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from datetime import datetime

import pytest

from service.logs import JsonFormatter, TextFormatter, fields

CODE = """
import logging, sys
from service.logs import configure_logging, fields
configure_logging(*sys.argv[1:])
logger = logging.getLogger("a.logger")
logger.info("an event", extra=fields(status=200, total_ms=1.5, key=None))
logger.warning("another one")
"""


def written(log_format: str, level: str) -> list[str]:
    """The lines that a process logs; logging is configured for a whole process."""
    command = [sys.executable, "-c", CODE, log_format, level]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_text_has_the_fields_after_the_message() -> None:
    first, second = written("text", "info")
    assert first.endswith("INFO a.logger: an event status=200 total_ms=1.500")
    assert second.endswith("WARNING a.logger: another one")


def test_json_has_the_fields_beside_the_message() -> None:
    first, second = map(json.loads, written("json", "info"))
    assert datetime.fromisoformat(first.pop("time")).tzinfo is not None
    common = {"level": "INFO", "logger": "a.logger", "message": "an event"}
    assert first == common | {"status": 200, "total_ms": 1.5}
    assert second["message"] == "another one"


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_events_below_the_level_are_not_logged(log_format: str) -> None:
    assert len(written(log_format, "warning")) == 1


@pytest.mark.parametrize("value", ["two words", "a\nline", "", "\x1b[31m", "é\x00"])
def test_a_value_cannot_forge_a_line(value: str) -> None:
    record = logging.makeLogRecord({"msg": "m", "levelname": "INFO", **fields(path=value)})
    text = TextFormatter("%(message)s").format(record)
    assert text == f"m path={value!a}"
    assert text.isprintable()
    line = JsonFormatter(["message"]).format(record)
    assert "\n" not in line
    assert json.loads(line)["path"] == value
