"""The errors of the service. Each class has an HTTP status and a stable type.

ServiceError
x RequestError                      the request has to change
  - BrokenRequest              400  the body cannot be read, has no image, or two
    + NotAnImage               400  the file is not an image that can be decoded
  - Unauthorized               401  no API key, or an unknown one
  - Forbidden                  403  models may not be loaded and unloaded by this request
  - NotFound                   404  no such path
    + ModelNotFound            404  no model of that name
    + ModelVersionNotFound     404  no such version of the model
  - MethodNotAllowed           405
  - NotAcceptable              406  no format in `Accept` can be served
  - RequestTimeout             408  the request did not arrive in time
  - Conflict                   409  the models are being changed, or have to stay
  - TooLarge                   413  too many bytes, images, pixels or values of JSON
    + HeadTooLarge             431  too many bytes of headers
  - UnsupportedMediaType       415  a content type or an image format that is not supported
  - OptionError                422  invalid options; each says what is allowed
  - RelevanceError             422  the relevance is not finite
  - LogitsError                422  the logits are not finite
  - LoadError                  422  a model cannot be loaded; nothing has changed
x Unavailable                       the same request may succeed later
  - QueueFull                  429  the queue is full
  - BodiesFull                 503  the bodies of all requests have too many bytes
  - RateLimited                429  the API key has sent too many requests
  - RateLimitUnavailable       503  the storage that counts requests cannot be reached
  - Overloaded                 503  the work in hand takes all the memory that it may
  - NotReady                   503  starting or draining, or a device is failing
  - DeadlineExceeded           504  no result within the deadline
  - LoadIncomplete             504  some workers serve a model as it was before
x OutOfMemory                  507  the request needs more memory than there is
x Broken                       503  the service has to be restarted
x InternalError                500  its cause is in the log only
x BundleError                  500  the files of a model are invalid (start-up and command line)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import ClassVar

from service.text import shorten

_MAX_NAMES = 20
_MAX_PROBLEMS = 20


def join_names(names: Iterable[str], limit: int = _MAX_NAMES) -> str:
    """Join names for a message: "a, b, c", with "..." in place of those beyond the limit."""
    names = iter(names)
    shown = list(islice(names, limit))
    return ", ".join([*shown, "..."] if next(names, None) is not None else shown) or "none"


class ServiceError(Exception):
    """Base class of all errors; `detail` is a sentence that says what to do.

    Attributes
    ----------
    is_retried : bool
        Whether clients send the same request again, after a pause: the page, the Python client and
        the examples in docs/ have the same list.
    """

    status: ClassVar[int] = 500
    type: ClassVar[str] = "internal-error"
    title: ClassVar[str] = "Internal error"
    is_retried: ClassVar[bool] = False

    def __init__(self, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.headers = dict(headers or {})


class RequestError(ServiceError):
    """The request has to change."""

    status = 400
    type = "bad-request"
    title = "Bad request"


class BrokenRequest(RequestError):
    """The body cannot be read, or has no image, or several."""

    type = "broken-request"
    title = "The request cannot be read"


class NotAnImage(BrokenRequest):
    """The file is not an image that can be decoded."""

    type = "not-an-image"
    title = "Not an image that can be decoded"


class Unauthorized(RequestError):
    """The request has no API key, or an unknown one."""

    status = 401
    type = "unauthorized"
    title = "Unauthorized"


class Forbidden(RequestError):
    """The service does not let this request load or unload models."""

    status = 403
    type = "forbidden"
    title = "Forbidden"


class NotFound(RequestError):
    """There is no such path."""

    status = 404
    type = "not-found"
    title = "Not found"


class ModelNotFound(NotFound):
    """The service has no model of that name."""

    type = "model-not-found"
    title = "Model not found"


class ModelVersionNotFound(NotFound):
    """The model does not have that version."""

    type = "model-version-not-found"
    title = "Version of the model not found"


class MethodNotAllowed(RequestError):
    """The path exists, but does not support this HTTP method."""

    status = 405
    type = "method-not-allowed"
    title = "Method not allowed"


class NotAcceptable(RequestError):
    """None of the formats in `Accept` can be served."""

    status = 406
    type = "not-acceptable"
    title = "Not acceptable"


class RequestTimeout(RequestError):
    """The client took too long to send the request."""

    status = 408
    type = "request-timeout"
    title = "The request did not arrive in time"


class Conflict(RequestError):
    """Another request is loading or unloading a model, or the model has to stay."""

    status = 409
    type = "conflict"
    title = "Conflict with the state of the models"


class TooLarge(RequestError):
    """Too many bytes of a body, images of a request, pixels of an image, or values of JSON."""

    status = 413
    type = "too-large"
    title = "Too large"


def body_too_large(max_body_bytes: int) -> TooLarge:
    """Make the error of a body that has too many bytes."""
    return TooLarge(f"the body has more than {max_body_bytes} bytes; send a smaller image")


def too_many_images(max_images: int) -> TooLarge:
    """Make the error of a request that has too many images."""
    noun = "image" if max_images == 1 else "images"
    return TooLarge(f"the request has more than {max_images} {noun}; send several requests")


class HeadTooLarge(TooLarge):
    """The headers of the request, or of a part of its body, have too many bytes."""

    status = 431
    type = "head-too-large"
    title = "The headers are too large"


class UnsupportedMediaType(RequestError):
    """The content type or the image format is not supported."""

    status = 415
    type = "unsupported-media-type"
    title = "Unsupported media type"


@dataclass(frozen=True)
class OptionProblem:
    """An invalid option, and what is allowed."""

    option: str
    detail: str


class OptionError(RequestError):
    """One or more options are invalid.

    Attributes
    ----------
    problems : tuple of OptionProblem
        The first of them, with names cut: clients may send very many, and very long ones.
    """

    status = 422
    type = "invalid-option"
    title = "Invalid option"

    def __init__(self, problems: Sequence[OptionProblem]) -> None:
        self.problems = tuple(
            OptionProblem(shorten(p.option), p.detail) for p in problems[:_MAX_PROBLEMS]
        )
        listed = [f"{p.option}: {p.detail}" for p in self.problems]
        n_more = len(problems) - len(listed)
        super().__init__("; ".join([*listed, f"and {n_more:,} more"] if n_more else listed))

    @classmethod
    def of(cls, option: str, detail: str) -> OptionError:
        """Make the error for a single option."""
        return cls([OptionProblem(option, detail)])


class RelevanceError(RequestError):
    """The relevance has values that are not finite."""

    status = 422
    type = "relevance-not-finite"
    title = "Relevance is not finite"


class LogitsError(RequestError):
    """The network's logits have values that are not finite."""

    status = 422
    type = "logits-not-finite"
    title = "Logits are not finite"


class LoadError(RequestError):
    """The model cannot be loaded; everything is served as before."""

    status = 422
    type = "load-error"
    title = "The model cannot be loaded"


class Unavailable(ServiceError):
    """The same request may succeed later."""

    status = 503
    type = "unavailable"
    title = "Unavailable"
    is_retried = True


class QueueFull(Unavailable):
    """The queue is full."""

    status = 429
    type = "queue-full"
    title = "Too many requests are waiting"


class BodiesFull(Unavailable):
    """The bodies of all requests have too many bytes; this one is among the slowest."""

    type = "bodies-full"
    title = "Too many bytes at once"


class RateLimited(Unavailable):
    """The API key has sent more requests than its rate limit allows."""

    status = 429
    type = "rate-limited"
    title = "Too many requests with this key"


class RateLimitUnavailable(Unavailable):
    """The storage in which the requests of API keys are counted cannot be reached."""

    type = "rate-limit-unavailable"
    title = "The rate limit cannot be checked"


class Overloaded(Unavailable):
    """The requests in work take all the memory that they may; this one was refused at once."""

    type = "overloaded"
    title = "Overloaded"


class NotReady(Unavailable):
    """The service is starting or draining, or its device is failing and is tried again."""

    type = "not-ready"
    title = "Not ready"


class DeadlineExceeded(Unavailable):
    """The request waited or ran longer than the deadline."""

    status = 504
    type = "deadline-exceeded"
    title = "Deadline exceeded"
    is_retried = False  # it has taken its time already


class LoadIncomplete(Unavailable):
    """Some worker processes have not loaded or unloaded the model; they serve what they had."""

    status = 504
    type = "load-incomplete"
    title = "Not all workers have changed their models"
    is_retried = False  # the operator decides


class OutOfMemory(ServiceError):
    """The request needs more memory than there is, even alone; it has to change."""

    status = 507
    type = "out-of-memory"
    title = "Out of memory"


class Broken(ServiceError):
    """The service is broken and has to be restarted; the log has its cause."""

    status = 503
    type = "broken"
    title = "Broken"


class InternalError(ServiceError):
    """An unexpected failure; the log has its cause under the request's id."""


class BundleError(ServiceError):
    """A model's bundle is missing or invalid; raised at start-up and by commands."""

    type = "bundle-error"
    title = "The model's files are invalid"
