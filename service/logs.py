"""Logging: one line for each event, with its fields, as text or as JSON.

Lines are written by a thread (`service.line_writer`), so no request waits for the disk, the pipe or
the terminal behind standard error.
"""

from __future__ import annotations

import logging
import logging.config
from functools import cache
from typing import Any

from pythonjsonlogger.orjson import OrjsonFormatter

from service.line_writer import LineWriter

_FLUSH_S = 2.0  # what waits for a reader longer than this is lost at the end
_STDERR = 2
_FIELDS = "fields"  # the attribute of a log record that `extra=fields(...)` sets


def fields(**values: Any) -> dict[str, dict[str, Any]]:
    """Make `extra` for a call of `logging` from the fields of an event; None is left out."""
    return {_FIELDS: {name: value for name, value in values.items() if value is not None}}


class TextFormatter(logging.Formatter):
    """`2026-01-31 12:00:00,000 INFO service.access: request route=/explain status=200 ...`."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  logging's own name
        """Format the message, followed by its fields."""
        given = getattr(record, _FIELDS, {})
        pairs = "".join(f" {name}={_text(value)}" for name, value in given.items())
        return super().formatMessage(record) + pairs


class JsonFormatter(OrjsonFormatter):
    """`{"time": "2026-01-31T12:00:00+00:00", "level": "INFO", "message": "request", ...}`."""

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        """Merge the fields of an event into the JSON object."""
        log_data.pop("color_message", None)  # uvicorn's, for terminals
        given: dict[str, Any] = log_data.pop(_FIELDS, {})
        return log_data | given


class StderrHandler(logging.Handler):
    """Writes the lines of the log to standard error, without waiting."""

    def __init__(self) -> None:
        super().__init__()
        self._writer = _stderr()

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line; what cannot be formatted is said in its place."""
        try:
            line = self.format(record)
        except Exception as error:  # noqa: BLE001  a request does not fail by its line
            line = f"{record.levelname} {record.name}: {record.msg!r} has no text: {error!r}"
        self._writer.put(line)

    def flush(self) -> None:
        """Wait until all lines are written, for a limited time; `logging` does so at the end."""
        self._writer.flush(_FLUSH_S)


@cache
def _stderr() -> LineWriter:
    return LineWriter(_STDERR, _describe_dropped)


def _describe_dropped(n: int) -> str:
    """Describe dropped lines, in the format of the log."""
    message = "%d lines of the log were dropped: standard error was full, or was not read"
    record = logging.LogRecord(__name__, logging.WARNING, __file__, 0, message, (n,), None)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, StderrHandler):
            return handler.format(record)
    return record.getMessage()


def print_soon(text: str) -> None:
    """Print a text on standard error among the lines of the log, without waiting."""
    _stderr().put(text)


def flush_log() -> None:
    """Wait until the lines of the log are written, for a limited time."""
    _stderr().flush(_FLUSH_S)


def _text(value: Any) -> str:
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    return text if text.isprintable() and " " not in text and text else ascii(text)


def configure_logging(log_format: str, level: str) -> None:
    """Log to standard error, as `text` or `json`, from this level on."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"lines": {"()": _FORMATTERS[log_format]}},
            "handlers": {"stderr": {"()": StderrHandler, "formatter": "lines"}},
            "root": {"level": level.upper(), "handlers": ["stderr"]},
        }
    )


def configure_own_logging(log_format: str, level: str) -> None:
    """Log what `service` logs, in a process whose other loggers belong to its host."""
    logger = logging.getLogger("service")
    handler = StderrHandler()
    handler.setFormatter(_FORMATTERS[log_format]())
    logger.handlers = [handler]
    logger.setLevel(level.upper())
    logger.propagate = False


def _text_formatter() -> logging.Formatter:
    return TextFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s")


def _json_formatter() -> logging.Formatter:
    return JsonFormatter(
        ["levelname", "name", "message"],
        rename_fields={"levelname": "level", "name": "logger"},
        timestamp="time",
    )


_FORMATTERS = {"text": _text_formatter, "json": _json_formatter}
