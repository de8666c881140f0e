"""A batch of jobs as tensors, and what was found for it as explanations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from service.errors import OptionError, RelevanceError, ServiceError
from service.lrp.attribution.output_relevance import OutputRelevance
from service.lrp.explainer import Attributions, PreparedMethod
from service.runtime.jobs import Attribution, ExplainJob, Explanation, Floats, LayerRelevance
from service.runtime.transfer import to_host


def collate(jobs: Sequence[ExplainJob]) -> NDArray[np.int64]:
    """Contrasts, whether to start from logits, and each round of targets, one column for a job.

    A job with fewer targets repeats its last.
    """
    n_rounds = max(len(job.targets) for job in jobs)
    rows = [
        [_index(job.contrast), job.start == "logit"]
        + [_index(job.targets[min(n, len(job.targets) - 1)]) for n in range(n_rounds)]
        for job in jobs
    ]
    return np.array(rows, dtype=np.int64).T


def make_starts(rows: Tensor) -> list[OutputRelevance]:
    """One start for each round of targets."""
    contrasts, is_logit, *targets = rows
    return [OutputRelevance(chosen, contrasts, is_logit.bool()) for chosen in targets]


def _index(target: int | None) -> int:
    return -1 if target is None else target


def flatten_result(answer: Attributions) -> tuple[Tensor, ...]:
    """Logits, then for each start its targets, totals, sums and relevance; images are the rows."""
    found = answer.found
    targets = [start.targets for start in found.starts]
    return (found.logits, *targets, *found.totals, *found.sums, *found.relevances)


def split_result(
    jobs: Sequence[ExplainJob], columns: Sequence[Tensor], prepared: PreparedMethod
) -> list[Explanation | ServiceError]:
    """Turn a batch's columns into explanations or errors of one, with one copy from the device."""
    logits, *host = to_host(*columns)
    n_starts = len(host) // 4
    of_round = [host[index::n_starts] for index in range(n_starts)]

    def make_one(row: int, job: ExplainJob) -> Explanation | ServiceError:
        try:
            attributions = tuple(
                _attribution(
                    job, prepared.recorded_layers, [column[row] for column in of_round[index]]
                )
                for index in range(len(job.targets))
            )
        except ServiceError as error:  # of this one alone
            return error
        return Explanation(logits[row], attributions, prepared.engine, prepared.layers_without_rule)

    return [make_one(row, job) for row, job in enumerate(jobs)]


def _attribution(
    job: ExplainJob, recorded_layers: Sequence[str], values: Sequence[Floats]
) -> Attribution:
    target, total, sums, relevance = values
    if job.contrast == int(target):
        raise OptionError.of("contrast", "is the class that is explained; give another class")
    if not np.isfinite(relevance).all():
        raise RelevanceError(
            "the relevance is not finite with these parameters; "
            "raise epsilon or stabilizer, or leave them out"
        )
    by_layer = None
    if job.method.conserves and len(sums):
        pairs = zip(recorded_layers, sums.tolist(), strict=True)
        by_layer = tuple(LayerRelevance(layer, arrived) for layer, arrived in pairs)
    return Attribution(int(target), relevance, float(total), by_layer)
