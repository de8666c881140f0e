"""The engine: a resident model that predicts and explains batches. Used by one thread only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from service.errors import OptionError, RelevanceError
from service.lrp.explainer import ENGINE, Explainer
from service.methods import Method
from service.models.bundles import Bundle
from service.models.card import ModelCard
from service.runtime.device import describe_device
from service.runtime.jobs import ExplainJob, Explanation, Job, Prediction, Result


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
        self.card: ModelCard = bundle.card
        self.device = device
        self.device_name = describe_device(device)
        self._model: nn.Module = bundle.model.to(device)
        self._explainer = Explainer(self._model)
        self._mean = torch.tensor(self.card.mean, device=device).view(1, 3, 1, 1)
        self._std = torch.tensor(self.card.std, device=device).view(1, 3, 1, 1)

    def run(self, job: Job) -> Result:
        """Do one job.

        Raises
        ------
        OptionError
            The contrast is the class that is explained.
        RelevanceError
            The method gave relevance that is not finite.
        """
        if isinstance(job, ExplainJob):
            return self.explain([job])[0]
        return self.predict([job.pixels])[0]

    def warm_up(self) -> None:
        """Run each operation once, so that the first request does not pay for first use."""
        height, width = self.card.input_size
        pixels = np.zeros((height, width, 3), dtype=np.uint8)
        self.predict([pixels])
        self.explain([ExplainJob(pixels, method=Method())])

    def predict(self, images: Sequence[np.ndarray]) -> list[Prediction]:
        """Predict a batch of uint8 images, each of shape (H, W, 3)."""
        with torch.no_grad():
            logits = self._model(self._normalize(images))
        return [Prediction(row) for row in logits.cpu().numpy()]

    def explain(self, jobs: Sequence[ExplainJob]) -> list[Explanation]:
        """Explain a batch of images, all with the same method; targets may differ.

        Raises
        ------
        ValueError
            The methods differ.
        OptionError
            A contrast is the class that is explained.
        RelevanceError
            The method gave relevance that is not finite.
        """
        method = jobs[0].method
        if any(job.method != method for job in jobs):
            raise ValueError("a batch has one method: explain the others in another batch")
        images = self._normalize([job.pixels for job in jobs])
        chosen: list[tuple[int, float]] = []

        def start(logits: Tensor) -> Tensor:
            targets = _targets(jobs, logits)
            relevance = _start_relevance(jobs, targets, logits)
            sums = relevance.double().sum(1).tolist()
            chosen.extend(zip(targets, sums, strict=True))
            return relevance

        logits, relevance = self._explainer.explain(images, start, method)
        if not bool(torch.isfinite(relevance).all()):
            raise RelevanceError(
                "the relevance is not finite with these parameters; "
                "raise epsilon or stabilizer, or leave them out"
            )
        rows = zip(logits.cpu().numpy(), relevance.cpu().numpy(), chosen, strict=True)
        return [
            Explanation(row_logits, target, row_relevance, start=start_sum, engine=ENGINE)
            for row_logits, row_relevance, (target, start_sum) in rows
        ]

    def _normalize(self, images: Sequence[np.ndarray]) -> Tensor:
        batch = torch.from_numpy(np.stack(images)).to(self.device)
        scaled = batch.permute(0, 3, 1, 2).float() / 255
        return ((scaled - self._mean) / self._std).contiguous()


def _targets(jobs: Sequence[ExplainJob], logits: Tensor) -> list[int]:
    predicted = logits.argmax(1).tolist()
    return [predicted[row] if job.target is None else job.target for row, job in enumerate(jobs)]


def _start_relevance(jobs: Sequence[ExplainJob], targets: Sequence[int], logits: Tensor) -> Tensor:
    """Relevance of each logit to start from: +1 at the target, -1 at the contrast, else 0."""
    signs = torch.zeros_like(logits)
    is_logit = torch.tensor([job.start == "logit" for job in jobs], device=logits.device)
    for row, (job, target) in enumerate(zip(jobs, targets, strict=True)):
        signs[row, target] = 1
        if job.contrast == target:
            raise OptionError.of("contrast", "is the class that is explained; give another class")
        if job.contrast is not None:
            signs[row, job.contrast] = -1
    return torch.where(is_logit[:, None], signs * logits, signs)
