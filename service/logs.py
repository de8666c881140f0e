"""Logging: one line for each event, with its fields, as text or as JSON."""

from __future__ import annotations

import logging
import logging.config
from typing import Any

from pythonjsonlogger.orjson import OrjsonFormatter

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


def _text(value: Any) -> str:
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    return text if text.isprintable() and " " not in text and text else ascii(text)


def configure_logging(log_format: str, level: str) -> None:
    """Log to standard error, as `text` or `json`, from this level on."""
    text = {"()": TextFormatter, "format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}
    json = {
        "()": JsonFormatter,
        "fmt": ["levelname", "name", "message"],
        "rename_fields": {"levelname": "level", "name": "logger"},
        "timestamp": "time",
    }
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"lines": json if log_format == "json" else text},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "lines"}},
            "root": {"level": level.upper(), "handlers": ["stderr"]},
        }
    )
