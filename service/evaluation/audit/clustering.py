"""Spectral clustering (Ng, Jordan and Weiss 2002) of relevance maps, with scikit-learn."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.errors import ServiceError
from service.evaluation.audit.features import Features

N_NEIGHBORS = 10
MAX_CLUSTERS = 8


class MissingLibrary(ServiceError):
    """A library of the extra `eval` is not installed."""

    type = "missing-library"
    title = "A library is missing"


@dataclass(frozen=True, eq=False)
class Clustering:
    """The clusters of N points.

    Attributes
    ----------
    labels : NDArray[int64]
        The cluster of each point, shape (N,).
    embedding : NDArray[float64]
        Eigenvectors of the graph's Laplacian, shape (N, D), that of the smallest eigenvalue first.
    eigenvalues : NDArray[float64]
        Shape (D,): 0 for each part of the graph that is not connected to the others.
    """

    labels: NDArray[np.int64]
    embedding: Features
    eigenvalues: Features

    @property
    def n_clusters(self) -> int:
        """Number of clusters."""
        return int(self.labels.max()) + 1

    @property
    def gap(self) -> float:
        """The eigengap: how much further apart the clusters are than the parts of a cluster."""
        return float(self.eigenvalues[self.n_clusters] - self.eigenvalues[self.n_clusters - 1])


def import_sklearn(module: str) -> Any:
    """Import a module of scikit-learn, or of SciPy, which comes with it.

    Raises
    ------
    MissingLibrary
        It is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingLibrary("an audit needs scikit-learn: pip install 'lrpserve[eval]'") from error


def cluster(points: Features, seed: int = 0, max_clusters: int = MAX_CLUSTERS) -> Clustering:
    """Cluster points by the graph of their nearest neighbours.

    The number of clusters, from 2 to `max_clusters`, is that of the widest gap between eigenvalues
    of the symmetric normalized Laplacian (von Luxburg 2007, section 8.3).

    Parameters
    ----------
    points : NDArray[float64]
        Shape (N, D), with N of 4 or more.
    seed : int
        Of k-means.
    max_clusters : int
        At most that many.
    """
    eigenvalues, vectors = _embed(points, max_clusters + 1)
    gaps = np.diff(eigenvalues)[1:]  # behind the second, the third, ...
    n_clusters = 2 + int(np.argmax(gaps))
    rows = vectors[:, :n_clusters]
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    k_means = import_sklearn("sklearn.cluster").KMeans(n_clusters, n_init=10, random_state=seed)
    labels = np.unique(k_means.fit_predict(rows), return_inverse=True)[1].astype(np.int64)
    return Clustering(labels, vectors, eigenvalues)


def _embed(points: Features, n_vectors: int) -> tuple[Features, Features]:
    """The smallest eigenvalues of the neighbours' Laplacian, and their vectors."""
    n = len(points)
    neighbors = import_sklearn("sklearn.neighbors")
    graph = neighbors.kneighbors_graph(points, min(N_NEIGHBORS, n - 1)).toarray()
    weights = np.maximum(graph, graph.T)  # each point has a neighbour: no degree is 0
    scale = 1 / np.sqrt(weights.sum(1))
    laplacian = np.eye(n) - scale[:, None] * weights * scale
    last = min(n_vectors, n) - 1
    eigh = import_sklearn("scipy.linalg").eigh
    eigenvalues, vectors = eigh(laplacian, subset_by_index=(0, last))
    return np.maximum(eigenvalues, 0), vectors
