"""The errors of the client.

ClientError
  - ServiceUnreachable   no response from the address, or not in time
  - RequestRefused       the service responded with a problem, which says what to do
  - UnreadableResponse   the response is not one of lrpserve
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class ClientError(Exception):
    """The base of all errors of the client."""


class ServiceUnreachable(ClientError):
    """No response from the address, or not in time."""


class UnreadableResponse(ClientError):
    """The response is not one of lrpserve: another program listens at the address."""


@dataclass(frozen=True)
class OptionProblem:
    """An invalid option, and what is allowed."""

    option: str
    detail: str


class RequestRefused(ClientError):
    """The service responded with a problem (RFC 9457).

    Attributes
    ----------
    type, title, status, detail, request_id
        The members of the problem; `detail` says what to do.
    errors : tuple of OptionProblem
        The invalid options; empty for problems of another type.
    """

    def __init__(self, problem: Mapping[str, Any], status: int) -> None:
        self.status = status
        self.type = str(problem.get("type", "about:blank"))
        self.title = str(problem.get("title", "refused"))
        self.detail = str(problem.get("detail", ""))
        self.request_id = str(problem.get("request_id", ""))
        self.errors = tuple(
            OptionProblem(str(error["option"]), str(error["detail"]))
            for error in problem.get("errors") or ()
        )
        super().__init__(f"{status} {self.title}: {self.detail}")
