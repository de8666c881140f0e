"""What can go wrong for a client.

ClientError
  - ServiceUnreachable   nothing answers there, or not in time
  - RequestRefused       the service answered with a problem, which says what to do
  - UnreadableAnswer     what answers there is not this service
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class ClientError(Exception):
    """Whatever goes wrong between this client and the service."""


class ServiceUnreachable(ClientError):
    """Nothing answers at the address, or not in time."""


class UnreadableAnswer(ClientError):
    """What answers at the address does not speak as the service does."""


@dataclass(frozen=True)
class OptionProblem:
    """An option that is wrong, and what is allowed."""

    option: str
    detail: str


class RequestRefused(ClientError):
    """The service answered with a problem (RFC 9457).

    Attributes
    ----------
    type, title, status, detail, request_id
        As the service gave them; `detail` says what to do.
    errors : tuple of OptionProblem
        The options that are wrong, where that is the problem.
    """

    def __init__(self, problem: Mapping[str, Any], status: int) -> None:
        self.status = status
        self.type = str(problem.get("type", "about:blank"))
        self.title = str(problem.get("title", "refused"))
        self.detail = str(problem.get("detail", ""))
        self.request_id = str(problem.get("request_id", ""))
        self.errors = tuple(
            OptionProblem(str(one["option"]), str(one["detail"]))
            for one in problem.get("errors") or ()
        )
        super().__init__(f"{status} {self.title}: {self.detail}")
