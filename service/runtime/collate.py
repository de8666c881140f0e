"""A batch of jobs as arrays for the device, and its result as an explanation for each job."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from service.errors import LogitsError, OptionError, RelevanceError, ServiceError
from service.lrp.attribution.gradient import AttributionResult
from service.lrp.attribution.output_relevance import OutputRelevance
from service.lrp.prepared_method import PreparedMethod
from service.methods import Start
from service.runtime.jobs import (
    Attribution,
    ExplainJob,
    Explanation,
    Floats,
    LayerRelevance,
    Prediction,
)
from service.runtime.transfer import to_host

T = TypeVar("T")


def collate(
    jobs: Sequence[ExplainJob], default_start: Start
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.uint8]]:
    """Collect what differs between the jobs of a batch.

    Returns
    -------
    rows : NDArray[int64]
        Contrasts, whether to start from logits, and each round of targets, shape (2 + rounds, N).
        A job with fewer targets repeats its last.
    stabilizers : NDArray[float64]
        Shape (N, rules), or (1, rules) where all jobs have the same.
    pixels : NDArray[uint8]
        Shape (N, H, W, 3).
    """
    n_rounds = max(len(job.targets) for job in jobs)
    rows = [
        [_index(job.contrast), (job.start or default_start) == "logit"]
        + [_index(job.targets[min(n, len(job.targets) - 1)]) for n in range(n_rounds)]
        for job in jobs
    ]
    stabilizers = [job.method.stabilizers for job in jobs]
    if len(set(stabilizers)) == 1:
        stabilizers = stabilizers[:1]
    pixels = np.stack([job.pixels for job in jobs])
    return np.array(rows, dtype=np.int64).T, np.array(stabilizers, dtype=np.float64), pixels


def make_starts(rows: Tensor) -> list[OutputRelevance]:
    """One output relevance for each round of targets."""
    contrasts, is_logit, *targets = rows
    return [OutputRelevance(chosen, contrasts, is_logit.bool()) for chosen in targets]


def _index(target: int | None) -> int:
    return -1 if target is None else target


def flatten_result(result: AttributionResult) -> tuple[Tensor, ...]:
    """Logits, then targets, totals, layer sums and relevance of each start; the batch is first.

    Then the relevance of each layer that is kept, of each start.
    """
    targets = [start.targets for start in result.starts]
    columns = (result.logits, *targets, *result.totals, *result.layer_sums, *result.relevances)
    return (*columns, *chain.from_iterable(zip(*result.by_layer, strict=True)))


def split_result(
    jobs: Sequence[ExplainJob], columns: Sequence[Tensor], prepared: PreparedMethod
) -> list[Explanation | ServiceError]:
    """Make an explanation, or an error, of each job, with one copy from the device."""
    logits, *host = to_host(*columns)
    n_starts = len(host) // (4 + (len(prepared.recorded_layers) if jobs[0].method.layers else 0))
    of_round = [host[index::n_starts] for index in range(n_starts)]

    def make_one(row: int, job: ExplainJob) -> Explanation | ServiceError:
        try:
            _check_logits(logits[row])
            attributions = tuple(
                _attribution(
                    job, prepared.recorded_layers, [column[row] for column in of_round[index]]
                )
                for index in range(len(job.targets))
            )
        except ServiceError as error:  # of this job alone
            return error
        return Explanation(
            logits[row],
            attributions,
            job.start or prepared.default_start,
            prepared.engine,
            prepared.layers_without_rule,
        )

    return [make_one(row, job) for row, job in enumerate(jobs)]


def make_prediction(logits: Floats) -> Prediction | ServiceError:
    """Make the prediction, or the error, of one image."""
    try:
        _check_logits(logits)
    except ServiceError as error:
        return error
    return Prediction(logits)


def raise_error(outcome: T | ServiceError) -> T:
    """Raise an outcome that is an error; return any other."""
    if isinstance(outcome, ServiceError):
        raise outcome
    return outcome


def _check_logits(logits: Floats) -> None:
    if not np.isfinite(logits).all():
        raise LogitsError(
            "the network's logits are not finite for this image; send another image, or tell the "
            "operator that the model's weights overflow"
        )


def _attribution(
    job: ExplainJob, recorded_layers: Sequence[str], values: Sequence[Floats]
) -> Attribution:
    target, total, sums, relevance, *kept = values
    if job.contrast == int(target):
        raise OptionError.of("contrast", "is the class that is explained; give another class")
    if not all(np.isfinite(value).all() for value in (relevance, total, sums, *kept)):
        raise RelevanceError(
            "the relevance is not finite with these parameters; "
            "raise epsilon or stabilizer, or leave them out"
        )
    by_layer = None
    if job.method.conserves and len(sums):
        pairs = zip(recorded_layers, sums.tolist(), strict=True)
        by_layer = tuple(LayerRelevance(layer, arrived) for layer, arrived in pairs)
    layers = dict(zip(recorded_layers, kept, strict=True)) if kept else {}
    return Attribution(int(target), relevance, float(total), by_layer, layers)
