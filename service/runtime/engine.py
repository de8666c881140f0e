"""The engine: a resident model that predicts and explains batches. Used by one thread only."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from service.errors import BundleError, ServiceError
from service.evidence.live import Explained
from service.lrp import selftest
from service.lrp.attribution.gradient import AttributionResult
from service.lrp.attribution.output_relevance import OutputRelevance
from service.lrp.explainer import Explainer
from service.lrp.passes import Passes, before_each, finish
from service.lrp.prepared_method import PreparedMethod
from service.lrp.selftest import Check
from service.lrp.trial import check_batches, make_explainer
from service.methods import DEFAULT_ATTRIBUTOR, Method, Rules, Start, parse_rules
from service.models.bundles import Bundle
from service.models.normalization import normalize
from service.runtime.batch_size import BatchPlan, measure_batches
from service.runtime.collate import (
    collate,
    flatten_result,
    make_prediction,
    make_starts,
    raise_error,
    split_result,
)
from service.runtime.default_methods import (
    check_default_method,
    find_default_method,
    find_default_starts,
)
from service.runtime.device import describe_device, memory_bytes, usable_threads
from service.runtime.exceptions import translate_oom, wrap_model_errors
from service.runtime.findings import add_findings
from service.runtime.jobs import (
    ExplainJob,
    Explanation,
    Job,
    LayerInfo,
    Prediction,
    PredictJob,
    Result,
)
from service.runtime.transfer import to_device, to_device_at_once, to_host

logger = logging.getLogger(__name__)


class Engine:
    """A network on a device, ready to predict and to explain.

    Parameters
    ----------
    bundle : Bundle
        The network and its card.
    device : torch.device
        Where it lives.
    n_threads : int, optional
        Threads that it may use on a CPU; by default one for each core.

    Raises
    ------
    BundleError
        The network does not do what a network has to.
    """

    def __init__(self, bundle: Bundle, device: torch.device, n_threads: int | None = None) -> None:
        self.card = bundle.card
        self.device = device
        self._n_threads = n_threads or usable_threads()
        self.device_name = describe_device(device, self._n_threads)
        self.own_composites: Mapping[str, Rules] = {
            name: parse_rules(entries) for name, entries in self.card.composites.items()
        }
        self.plan = BatchPlan(1, {1: self._n_threads})  # until warm_up measures the best
        self._mean = torch.tensor(self.card.mean, device=device)
        self._std = torch.tensor(self.card.std, device=device)
        self._samples = selftest.sample_images(self.card.input_size, 2).numpy()
        images = self._normalized_samples()
        with wrap_model_errors(self.card.name):
            self.explainer = self._make_explainer(bundle, images)
            layers = self.explainer.network.describe_layers(images)
        self.layers = tuple(LayerInfo(one.name, one.kind, one.shape) for one in layers)
        self.default_starts: Mapping[str, Start] = find_default_starts(self.explainer)
        check_default_method(self.card, self.own_composites, self.explainer)

    def _make_explainer(self, bundle: Bundle, images: Tensor) -> Explainer:
        model = bundle.model.to(self.device)
        low, high = ((value - self._mean) / self._std for value in (0, 1))
        box = (low.view(1, 3, 1, 1), high.view(1, 3, 1, 1))
        return make_explainer(self.card.name, model, box, images)

    def memory_bytes(self) -> int:
        """Memory in use on the device; on a CPU, by the process."""
        return memory_bytes(self.device)

    def close(self) -> None:
        """Free the network's memory."""
        self.explainer.close()

    def best_batch_size(self, job: Job) -> int:
        """The number of jobs like this one that a batch should have at most."""
        if isinstance(job, PredictJob):
            return self.batch_size(None)
        return self.batch_size(job.method, has_evidence=job.has_evidence)

    def batch_size(self, method: Method | None, *, has_evidence: bool = False) -> int:
        """The best batch size of a method; None is a prediction."""
        is_one_pass = method is None or _is_one_pass(method, has_evidence=has_evidence)
        return self.plan.size if is_one_pass else 1  # the others make batches of their own

    def run(self, jobs: Sequence[Job]) -> list[Result | ServiceError]:
        """Run a batch without a pause; see `run_in_passes`."""
        return finish(self.run_in_passes(jobs))

    def run_in_passes(self, jobs: Sequence[Job]) -> Passes[list[Result | ServiceError]]:
        """Run a batch: each job has a result, or an error of its own.

        Parameters
        ----------
        jobs : sequence of Job
            What to do.

        Raises
        ------
        OptionError
            The method does not fit the network.
        OutOfMemory
            They do not fit into the device's memory together.
        """
        explained = [job for job in jobs if isinstance(job, ExplainJob)]
        with translate_oom():
            if explained:
                return [*(yield from self._explain(explained))]
            return [*self._predict([job.pixels for job in jobs])]

    def check_device(self) -> None:
        """Predict and explain the warm-up image; any exception means that the device fails."""
        self.explain([ExplainJob(self._samples[0], self.card.name, self._default_method())])

    def warm_up(self, max_batch_size: int | None = None, plan: BatchPlan | None = None) -> None:
        """Measure the best batch size and its threads, then `check`; no larger batch is tried.

        Parameters
        ----------
        max_batch_size : int, optional
            Upper bound of the batch size.
        plan : BatchPlan, optional
            What has been measured with a network of the same shape.
        """
        with wrap_model_errors(self.card.name):
            self.plan = plan or self._measure_batches(max_batch_size)
        logger.info(
            "%s: up to %d images in a batch; threads by batch size: %s",
            *(self.card.name, self.plan.size, dict(self.plan.threads)),
        )
        self.check()

    def check(self) -> None:
        """Check predictions, and the default method against zennit.

        Raises
        ------
        BundleError
            The relevance is not what it should be.
        """
        with wrap_model_errors(self.card.name):
            self.predict(list(self._samples))
            images, method = self._normalized_samples(), self._default_method()
            check_batches(self.card.name, self.explainer, images, method)
            found = selftest.check(self.explainer, images[:1], method)
        if not found.passed:
            raise BundleError(
                f"the model {self.card.name} fails its self-test: its relevance differs from the "
                f"reference by {found.difference:.1e} of the largest, more than {found.limit:g}; "
                f"`lrpserve verify {self.card.name}` shows all of it"
            )

    def verify(self) -> list[Check]:
        """Check every composite in float64 and float32 against zennit."""
        images = self._normalized_samples()
        return list(selftest.verify(self.explainer, images, self.own_composites))

    def _measure_batches(self, limit: int | None) -> BatchPlan:
        method = self._default_method()
        job = ExplainJob(self._samples[0], self.card.name, method)
        sizes = [2**n for n in range(9 if self.device.type == "cuda" else 6)]
        if limit is not None:
            sizes = [size for size in sizes if size < limit] + [limit]

        def run(size: int, n_threads: int) -> None:
            self.plan = BatchPlan(1, {1: n_threads})
            self.run([job] * size)

        return measure_batches(run, sizes, self._n_threads if self.device.type == "cpu" else 1)

    def _default_method(self) -> Method:
        return find_default_method(self.card, self.own_composites, self.explainer)

    def predict(self, images: Sequence[NDArray[np.uint8]]) -> list[Prediction]:
        """Predict a batch of uint8 images, each of shape (H, W, 3).

        Raises
        ------
        LogitsError
            The logits of an image are not finite.
        """
        return list(map(raise_error, self._predict(images)))

    def explain(self, jobs: Sequence[ExplainJob]) -> list[Explanation]:
        """Explain a batch of images; their targets and the stabilizers of their methods may differ.

        Raises
        ------
        ServiceError
            As `run_in_passes` does, or of one job: its contrast is the class that is explained
            (`OptionError`), or logits or relevance are not finite.
        ValueError
            The methods differ in more than stabilizers.
        """
        return list(map(raise_error, finish(self._explain(jobs))))

    def _predict(self, images: Sequence[NDArray[np.uint8]]) -> list[Prediction | ServiceError]:
        self._set_threads(len(images))
        pixels = to_device(np.stack(images), self.device)
        (logits,) = to_host(self.explainer.predict(self._normalize(pixels)))
        return list(map(make_prediction, logits))

    def _explain(self, jobs: Sequence[ExplainJob]) -> Passes[list[Explanation | ServiceError]]:
        method = jobs[0].method
        kinds = {(job.method.batch_key, job.has_evidence) for job in jobs}
        if len(kinds) > 1:
            raise ValueError("a batch has one method: explain the others in another batch")
        prepared = self.explainer.prepare(method)
        groups: defaultdict[object, list[int]] = defaultdict(list)
        for index, job in enumerate(jobs):
            groups[None if prepared.is_batch_first else job.method.stabilizers].append(index)
        outcomes: dict[int, Explanation | ServiceError] = {}
        for indices in groups.values():
            group = [jobs[index] for index in indices]
            if len(groups) > 1:  # zennit's hooks have the stabilizers of one method
                prepared = self.explainer.prepare(group[0].method)
            found = yield from self._explain_together(group, prepared)
            outcomes |= zip(indices, found, strict=True)
        return [outcomes[index] for index in range(len(jobs))]

    def _explain_together(
        self, jobs: Sequence[ExplainJob], prepared: PreparedMethod
    ) -> Passes[list[Explanation | ServiceError]]:
        method, has_evidence = jobs[0].method, jobs[0].has_evidence
        n_images = len(jobs) if _is_one_pass(method, has_evidence=has_evidence) else None
        rows, stabilizers, pixels = to_device_at_once(
            collate(jobs, prepared.default_start), self.device
        )
        self._set_threads(n_images)
        images = self._normalize(pixels)

        def explain(images: Tensor, starts: Sequence[OutputRelevance]) -> Passes[AttributionResult]:
            return self.explainer.explain_in_passes(
                prepared, images, starts, method, stabilizers.to(images)
            )

        def set_threads() -> None:
            self._set_threads(n_images)

        result = yield from before_each(explain(images, make_starts(rows)), set_threads)
        outcomes = split_result(jobs, flatten_result(result), prepared)
        if not has_evidence:
            return outcomes
        explained = Explained(images, result, self.explainer.predict, explain)
        return (yield from before_each(add_findings(jobs, outcomes, explained), set_threads))

    def _set_threads(self, batch_size: int | None) -> None:
        """Let a batch have its number of threads; None is a method that makes batches itself."""
        n_threads = self._n_threads if batch_size is None else self.plan.n_threads(batch_size)
        if self.device.type == "cpu" and torch.get_num_threads() != n_threads:
            torch.set_num_threads(n_threads)  # of this thread's operators

    def _normalized_samples(self) -> Tensor:
        return self._normalize(to_device(self._samples, self.device))

    def _normalize(self, pixels: Tensor) -> Tensor:
        images = normalize(pixels, self._mean, self._std)
        return images if self.device.type == "cpu" else images.contiguous()


def _is_one_pass(method: Method, *, has_evidence: bool) -> bool:
    return method.attributor == DEFAULT_ATTRIBUTOR and not has_evidence
