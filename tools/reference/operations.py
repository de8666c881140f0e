"""Tables for operators: settings, metrics, errors."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import Counter, Gauge, Histogram

from service.errors import BundleError, ServiceError
from service.metrics import Metrics
from service.settings import PREFIX, Settings
from tools.reference.markdown import code, codes, number, table

# met at start-up and on the command line, never in a response
_NOT_ON_THE_WIRE = (BundleError,)


def settings() -> str:
    """Every environment variable, with its default."""
    return table(
        ("variable", "default", "meaning"),
        [
            (code(PREFIX + name.upper()), _default(field.default), field.description or "")
            for name, field in Settings.model_fields.items()
        ],
    )


def _default(value: object) -> str:
    if value is None or value == ():
        return "none"
    return code(number(value) if isinstance(value, float) else value)


def metrics() -> str:
    """Every metric of the service, with its labels."""
    rows = []
    for metric in vars(Metrics()).values():
        if isinstance(metric, (Counter, Gauge, Histogram)):
            (family,) = metric.describe()
            name = f"{family.name}_total" if family.type == "counter" else family.name
            labels = metric._labelnames  # noqa: SLF001  # there is no public name for it
            rows.append((code(name), family.type, codes(labels), family.documentation))
    return table(("metric", "type", "labels", "meaning"), rows)


def errors() -> str:
    """Every error that a response can be, by its status."""
    kinds = sorted(_responses(), key=lambda kind: (kind.status, kind.type))
    return table(
        ("status", "type", "repeated", "when"),
        [
            (str(kind.status), code(kind.type), "yes" * kind.is_retried, _first_line(kind))
            for kind in kinds
        ],
    )


def _responses() -> Iterator[type[ServiceError]]:
    for kind in _subclasses(ServiceError):
        is_group = ServiceError in kind.__bases__ and kind.__subclasses__()
        if kind.__module__ == ServiceError.__module__ and not is_group:
            yield kind


def _subclasses(kind: type[ServiceError]) -> Iterator[type[ServiceError]]:
    for child in kind.__subclasses__():
        if child not in _NOT_ON_THE_WIRE:
            yield child
            yield from _subclasses(child)


def _first_line(kind: type[ServiceError]) -> str:
    return (kind.__doc__ or "").strip().split("\n\n", 1)[0]
