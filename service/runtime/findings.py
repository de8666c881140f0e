"""The findings about the explanations of a batch, out of what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from service.errors import LogitsError, ServiceError
from service.evidence.cost import count_forwards
from service.evidence.findings import Curve, Findings
from service.evidence.live import Explained, hidden_counts, measure
from service.evidence.patches import PatchGrid
from service.lrp.passes import Passes
from service.runtime.jobs import ExplainJob, Explanation, Floats
from service.runtime.transfer import to_host

Outcomes = Sequence[Explanation | ServiceError]


def add_findings(
    jobs: Sequence[ExplainJob], outcomes: Outcomes, explained: Explained
) -> Passes[list[Explanation | ServiceError]]:
    """Add the findings about each target to the explanations of a batch, in one copy.

    Parameters
    ----------
    jobs : sequence of ExplainJob
        The batch.
    outcomes : sequence of (Explanation or ServiceError)
        Of each job; errors stay.
    explained : Explained
        What was computed of them.
    """
    measured = yield from measure(explained)
    host = to_host(*(t for one in measured for t in (one.curves, one.has_order, one.similarities)))
    columns = list(zip(host[::3], host[1::3], host[2::3], strict=True))

    def add(
        row: int, job: ExplainJob, outcome: Explanation | ServiceError
    ) -> Explanation | ServiceError:
        if isinstance(outcome, ServiceError):
            return outcome
        if not all(np.isfinite(curves[row]).all() for curves, _, _ in columns):
            return LogitsError(
                "the network's logits are not finite where parts of this image are hidden; leave "
                "`evidence` out of `output`, or tell the operator that the model's weights overflow"
            )
        pairs = zip(outcome.attributions, columns, strict=False)  # a batch has as many as its most
        return replace(
            outcome,
            attributions=tuple(
                replace(
                    one,
                    findings=_findings(job, explained.grid, *(column[row] for column in of_target)),
                )
                for one, of_target in pairs
            ),
        )

    return [add(row, *pair) for row, pair in enumerate(zip(jobs, outcomes, strict=True))]


def _findings(
    job: ExplainJob, grid: PatchGrid, curves: Floats, has_order: Floats, similarities: Floats
) -> Findings:
    most, least, *random = map(_curve, curves)
    n_patches = grid.n_patches
    return Findings(
        patch=grid.side,
        hidden=tuple(count / n_patches for count in hidden_counts(n_patches)),
        most_relevant_first=most,
        least_relevant_first=least,
        random=tuple(random),
        has_order=bool(has_order),
        similarities=_curve(similarities) if np.isfinite(similarities).all() else (),
        n_forwards=count_forwards(
            len(job.targets), job.method.n_passes(1, (grid.height, grid.width))
        ),
    )


def _curve(values: Floats) -> Curve:
    return tuple(values.tolist())
