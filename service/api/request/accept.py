"""Choose the format of an answer by the request's `Accept`."""

from __future__ import annotations

from collections.abc import Sequence

import mimeparse
from starlette.requests import Request

from service.errors import NotAcceptable

JSON, PNG, NPY = "application/json", "image/png", "application/x-npy"


def choose_format(request: Request, supported: Sequence[str]) -> str:
    """Pick the format that a client likes best; the first one supported if it likes them alike.

    Parameters
    ----------
    request : Request
        Its `Accept` counts, with q-values; without one everything is accepted.
    supported : sequence of str
        Media types, the preferred one first.

    Raises
    ------
    NotAcceptable
        None is accepted, or the header cannot be read.
    """
    accept = ", ".join(request.headers.getlist("accept")) or "*/*"
    try:
        # of types with the same quality mimeparse takes the last
        best: str = mimeparse.best_match(list(reversed(supported)), accept.lower())
    except mimeparse.MimeTypeParseException:
        best = ""
    if not best:
        raise NotAcceptable(
            f"nothing in `Accept: {accept[:200]}` can be served; there are: {', '.join(supported)}"
        )
    return best
