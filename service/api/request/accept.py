"""Content negotiation: the format of the response, by the request's `Accept` header."""

from __future__ import annotations

from collections.abc import Sequence

import mimeparse
from starlette.requests import Request

from service.errors import NotAcceptable, join_names
from service.text import shorten

JSON, PNG, NPY = "application/json", "image/png", "application/x-npy"
_MAX_ACCEPT = 4000  # characters, of which some hundred types are parsed in 2 ms


def choose_format(request: Request, supported: Sequence[str], content: str = "") -> str:
    """Choose the format that the client prefers; the first one of equal quality.

    Parameters
    ----------
    request : Request
        Without an `Accept` header it accepts every format.
    supported : sequence of str
        Media types, the default first.
    content : str
        What only these can hold, for the error.

    Raises
    ------
    NotAcceptable
        None is accepted, or the header is too long or cannot be parsed.
    """
    accept = ", ".join(request.headers.getlist("accept")) or "*/*"
    if len(accept) > _MAX_ACCEPT:
        raise NotAcceptable(
            f"the `Accept` header has more than {_MAX_ACCEPT} characters; accept one of: "
            f"{join_names(supported)}"
        )
    try:
        # of types with the same quality mimeparse takes the last
        best: str = mimeparse.best_match(list(reversed(supported)), accept.lower())
    except mimeparse.MimeTypeParseException:
        best = ""
    if not best:
        detail = f"can hold {content}" if content else "can be served"
        raise NotAcceptable(
            f"no format in `Accept: {shorten(accept, 200)}` {detail}; accept one of: "
            f"{join_names(supported)}"
        )
    return best
