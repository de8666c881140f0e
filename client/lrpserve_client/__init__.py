"""Client for lrpserve: explanations of images over HTTP, as numpy arrays and pictures."""

from importlib.metadata import version

from lrpserve_client.client import AsyncClient, Client
from lrpserve_client.errors import (
    ClientError,
    RequestRefused,
    ServiceUnreachable,
    UnreadableResponse,
)
from lrpserve_client.evidence import Deletion, Evidence, Stability
from lrpserve_client.results import (
    Explanation,
    ImageBox,
    LayerRelevance,
    LayersExplanation,
    Model,
    ModelChange,
    Prediction,
    Score,
)

__version__ = version("lrpserve-client")

__all__ = [
    "AsyncClient",
    "Client",
    "ClientError",
    "Deletion",
    "Evidence",
    "Explanation",
    "ImageBox",
    "LayerRelevance",
    "LayersExplanation",
    "Model",
    "ModelChange",
    "Prediction",
    "RequestRefused",
    "Score",
    "ServiceUnreachable",
    "Stability",
    "UnreadableResponse",
]
