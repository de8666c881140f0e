"""Metadata of the server and its models, as the protocol and Triton's extensions have it."""

from __future__ import annotations

from typing import Any

from service import __version__
from service.api.protocols.open_inference.messages import VERSION
from service.api.protocols.open_inference.tensors import IMAGE
from service.api.state import AppState
from service.errors import NotFound, join_names
from service.models.card import ModelCard
from service.text import shorten

PLATFORM = "lrpserve"
EXTENSIONS = (
    "binary_tensor_data",
    "classification",
    "parameters",
    "model_configuration",
    "model_repository",
    "statistics",
)
CONFIG_TYPES = {"BYTES": "TYPE_STRING", "FP32": "TYPE_FP32", "UINT8": "TYPE_UINT8"}
_FREE = -1  # a side of any length
_NS_PER_MS = 1e6


def server_metadata() -> dict[str, Any]:
    """The server's name, version and extensions."""
    return {"name": PLATFORM, "version": __version__, "extensions": list(EXTENSIONS)}


def served_card(app_state: AppState, model: str, version: str = VERSION) -> ModelCard:
    """The card of a model.

    Raises
    ------
    NotFound
        There is no such model, or no such version.
    """
    if model not in app_state.cards:
        names = join_names(app_state.cards)
        raise NotFound(f"there is no model '{shorten(model)}'; there are: {names}")
    if version not in ("", VERSION):
        raise NotFound(f"{model} has no version '{shorten(version)}'; there is: {VERSION}")
    return app_state.cards[model]


def model_metadata(card: ModelCard) -> dict[str, Any]:
    """The tensors of a model, and its versions."""
    return {
        "name": card.name,
        "versions": [VERSION],
        "platform": PLATFORM,
        "inputs": [{"name": IMAGE, "datatype": "BYTES", "shape": [_FREE]}],
        "outputs": [
            {"name": name, "datatype": datatype, "shape": shape}
            for name, datatype, shape in _outputs(card)
        ],
    }


def model_config(card: ModelCard) -> dict[str, Any]:
    """The configuration of a model, of Triton's kind; the first dimension counts the images."""
    metadata = model_metadata(card)
    return {
        "name": card.name,
        "platform": PLATFORM,
        "backend": PLATFORM,
        "version_policy": {"latest": {"num_versions": 1}},
        "max_batch_size": 0,  # no dimension besides those of the tensors
        "input": _config_tensors(metadata["inputs"]),
        "output": _config_tensors(metadata["outputs"]),
    }


def model_statistics(app_state: AppState, card: ModelCard) -> dict[str, Any]:
    """The statistics of a model in this worker process."""
    counted = app_state.statistics.of(card.name)
    return {
        "name": card.name,
        "version": VERSION,
        "last_inference": round(counted.last_s * 1e3),
        "inference_count": counted.n_done,
        "execution_count": round(counted.n_batches),
        "inference_stats": {
            "success": _duration(counted.n_done, counted.done_ms),
            "fail": _duration(counted.n_failed, counted.failed_ms),
            "queue": _duration(counted.n_done, counted.queue_ms),
            "compute_infer": _duration(counted.n_done, counted.compute_ms),
        },
        "batch_stats": [],
    }


def _outputs(card: ModelCard) -> list[tuple[str, str, list[int]]]:
    n_classes = len(card.labels)
    return [
        ("scores", "FP32", [_FREE, n_classes]),
        ("logits", "FP32", [_FREE, n_classes]),
        ("relevance", "FP32", [_FREE, _FREE, _FREE]),
        ("heatmap", "UINT8", [_FREE, _FREE, _FREE, 3]),
        ("heatmap_png", "BYTES", [_FREE]),
        ("explanation", "BYTES", [_FREE]),
        ("evidence", "BYTES", [_FREE]),
    ]


def _config_tensors(tensors: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "name": tensor["name"],
            "data_type": CONFIG_TYPES[tensor["datatype"]],
            "dims": tensor["shape"],
        }
        for tensor in tensors
    ]


def _duration(count: int, ms: float) -> dict[str, int]:
    return {"count": count, "ns": round(ms * _NS_PER_MS)}
