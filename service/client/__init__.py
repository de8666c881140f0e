"""A client for notebooks and scripts: `from service.client import Client`; the extra `client`."""

try:
    import httpx as _httpx  # noqa: F401  # only to say what is missing
except ImportError as _missing:
    raise ImportError(
        "service.client needs httpx; install the extra: pip install 'lrpserve[client]'"
    ) from _missing

from service.client.client import AsyncClient, Client
from service.client.errors import (
    ClientError,
    RequestRefused,
    ServiceUnreachable,
    UnreadableAnswer,
)
from service.client.results import Explanation, ImageBox, Model, Prediction, Score

__all__ = [
    "AsyncClient",
    "Client",
    "ClientError",
    "Explanation",
    "ImageBox",
    "Model",
    "Prediction",
    "RequestRefused",
    "Score",
    "ServiceUnreachable",
    "UnreadableAnswer",
]
