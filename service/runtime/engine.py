"""The engine: a resident model that predicts and explains batches. Used by one thread only."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from service.errors import BundleError, OptionError, RelevanceError
from service.lrp import selftest
from service.lrp.canonize import difference
from service.lrp.explainer import Attributions, Explainer
from service.lrp.selftest import Check
from service.lrp.starts import Start
from service.methods import Method, Rules, parse_rules
from service.models.bundles import Bundle
from service.runtime.device import describe_device
from service.runtime.jobs import (
    Attribution,
    ExplainJob,
    Explanation,
    Floats,
    Job,
    LayerInfo,
    LayerRelevance,
    Prediction,
    Result,
)
from service.runtime.transfer import to_device, to_host

logger = logging.getLogger(__name__)

MAX_CANONIZED_DIFFERENCE = 1e-4  # of outputs in float32; in float64 it is 1e-15


class Engine:
    """A network on a device, ready to predict and to explain.

    Parameters
    ----------
    bundle : Bundle
        The network and its card.
    device : torch.device
        Where it lives.
    """

    def __init__(self, bundle: Bundle, device: torch.device) -> None:
        self.card = bundle.card
        self.device = device
        self.device_name = describe_device(device)
        self.own_composites: Mapping[str, Rules] = {
            name: parse_rules(entries) for name, entries in self.card.composites.items()
        }
        self._mean = torch.tensor(self.card.mean, device=device).view(1, 3, 1, 1)
        self._std = torch.tensor(self.card.std, device=device).view(1, 3, 1, 1)
        self._samples = selftest.sample_images(self.card.input_size, 2).numpy()
        images = self._normalize(self._samples)
        self.explainer = self._make_explainer(bundle, images)
        layers = self.explainer.network.describe_layers(images)
        self.layers = tuple(LayerInfo(one.name, one.kind, one.shape) for one in layers)

    def _make_explainer(self, bundle: Bundle, images: Tensor) -> Explainer:
        model = bundle.model.to(self.device)
        box = ((0 - self._mean) / self._std, (1 - self._mean) / self._std)
        explainer = Explainer(model, box)
        if difference(model, explainer.network.module, images) <= MAX_CANONIZED_DIFFERENCE:
            return explainer
        logger.warning("%s: its graph does not compute what its code does", self.card.name)
        return Explainer(model, box, is_traced=False)

    def run(self, job: Job) -> Result:
        """Do one job.

        Raises
        ------
        OptionError
            The contrast is the class that is explained, or the method does not fit the network.
        RelevanceError
            The method gave relevance that is not finite.
        """
        if isinstance(job, ExplainJob):
            return self.explain([job])[0]
        return self.predict([job.pixels])[0]

    def warm_up(self) -> None:
        """Run each operation once, and check the default method against zennit.

        Raises
        ------
        BundleError
            The relevance is not what it should be.
        """
        self.predict(list(self._samples))
        found = selftest.check(self.explainer, self._normalize(self._samples[:1]), Method())
        if not found.passed:
            raise BundleError(
                f"the model {self.card.name} fails its self-test: its relevance differs from the "
                f"reference by {found.difference:.1e} of the largest, more than {found.limit:g}; "
                f"`lrpserve verify {self.card.name}` shows all of it"
            )

    def verify(self) -> list[Check]:
        """Check every composite in float64 and float32 against zennit."""
        images = self._normalize(self._samples)
        return list(selftest.verify(self.explainer, images, self.own_composites))

    def predict(self, images: Sequence[NDArray[np.uint8]]) -> list[Prediction]:
        """Predict a batch of uint8 images, each of shape (H, W, 3)."""
        (logits,) = to_host(self.explainer.predict(self._normalize(np.stack(images))))
        return [Prediction(row) for row in logits]

    def explain(self, jobs: Sequence[ExplainJob]) -> list[Explanation]:
        """Explain a batch of images, all with the same method; targets may differ.

        Raises
        ------
        ValueError
            The methods differ.
        OptionError
            A contrast is the class that is explained, or the method does not fit the network.
        RelevanceError
            The method gave relevance that is not finite.
        """
        method = jobs[0].method
        if any(job.method != method for job in jobs):
            raise ValueError("a batch has one method: explain the others in another batch")
        images = self._normalize(np.stack([job.pixels for job in jobs]))
        answer = self.explainer.explain(images, make_starts(jobs, self.device), method)
        return unpack(jobs, answer)

    def _normalize(self, pixels: NDArray[np.uint8]) -> Tensor:
        batch = to_device(pixels, self.device).permute(0, 3, 1, 2)
        scaled = (batch.float() / 255 - self._mean) / self._std
        is_on_cpu = self.device.type == "cpu"
        layout = torch.channels_last if is_on_cpu else torch.contiguous_format
        return scaled.contiguous(memory_format=layout)


def make_starts(jobs: Sequence[ExplainJob], device: torch.device) -> list[Start]:
    """One start for each round of targets; a job with fewer targets repeats its last."""
    n_rounds = max(len(job.targets) for job in jobs)
    rows = [
        [_index(job.contrast), job.start == "logit"]
        + [_index(job.targets[min(n, len(job.targets) - 1)]) for n in range(n_rounds)]
        for job in jobs
    ]
    contrasts, is_logit, *targets = to_device(np.array(rows, dtype=np.int64).T, device)
    return [Start(chosen, contrasts, is_logit.bool()) for chosen in targets]


def _index(target: int | None) -> int:
    return -1 if target is None else target


def unpack(jobs: Sequence[ExplainJob], answer: Attributions) -> list[Explanation]:
    """Turn a batch's tensors into explanations, with one copy from the device."""
    found = answer.found
    n = len(found.starts)
    targets = [start.targets for start in found.starts]
    columns = (*targets, *found.totals, *found.sums, *found.relevances)
    logits, *host = to_host(found.logits, *columns)
    of_round = [host[index::n] for index in range(n)]
    return [
        Explanation(
            logits[row],
            tuple(
                _unpack_one(job, answer.taps, [column[row] for column in of_round[index]])
                for index in range(len(job.targets))
            ),
            answer.engine,
            answer.unruled,
        )
        for row, job in enumerate(jobs)
    ]


def _unpack_one(job: ExplainJob, taps: Sequence[str], values: Sequence[Floats]) -> Attribution:
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
        pairs = zip(taps, sums.tolist(), strict=True)
        by_layer = tuple(LayerRelevance(layer, arrived) for layer, arrived in pairs)
    return Attribution(int(target), relevance, float(total), by_layer)
