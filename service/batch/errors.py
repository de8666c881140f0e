"""Errors of batch jobs, and the import of libraries of the extra `batch`."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from service.errors import ServiceError


class InputError(ServiceError):
    """The images of a batch job cannot be listed or read."""

    type = "input-error"
    title = "The images cannot be read"


class OutputError(ServiceError):
    """The results cannot be written."""

    type = "output-error"
    title = "The results cannot be written"


class JobMismatch(OutputError):
    """The output belongs to a job with other options."""

    type = "job-mismatch"
    title = "The output belongs to another job"


def import_library(name: str) -> Any:
    """Import a library of the extra `batch`.

    Raises
    ------
    OutputError
        It is not installed; says how to install it.
    """
    try:
        return import_module(name)
    except ImportError as error:
        library = name.partition(".")[0]
        raise OutputError(
            f"{library} cannot be imported ({error}): pip install 'lrpserve[batch]'"
        ) from error
