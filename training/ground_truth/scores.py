"""Scores of every method, and of the baselines, on scenes of which the answer is known."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from service.errors import ServiceError
from service.evaluation.candidates import Candidate, find_candidates
from service.evaluation.explained import explain_maps
from service.evidence.baselines import BASELINES
from service.models.normalization import normalize
from service.runtime.engine import Engine
from service.runtime.jobs import Pixels
from training.ground_truth.interventions import LogitsFn, intervene
from training.ground_truth.planted import PLANTED, planted_bundle
from training.ground_truth.questions import Question, Scores, ask
from training.ground_truth.scenes import Scenes
from training.ground_truth.variants import explained_scenes

_CHUNK = 100  # images of a call of the engine, so that activations stay small
BASELINE = "baseline: "
MIN_KNOWN = 20  # images, for an interval that says anything


class GroundTruthError(ServiceError):
    """The network does not decide by the object that decides."""

    type = "ground-truth-error"
    title = "The answer is not known"


@dataclass(frozen=True)
class Sizes:
    """How many images are measured.

    Attributes
    ----------
    controls : int
        For interventions.
    one_pass : int
        For methods of one backward pass.
    sampled : int
        For methods that take many passes for each image.
    """

    controls: int
    one_pass: int
    sampled: int


def logits_of(engine: Engine) -> LogitsFn:
    """The network's logits of any number of images."""

    def logits(pixels: Pixels) -> NDArray[np.float32]:
        parts = (pixels[start : start + _CHUNK] for start in range(0, len(pixels), _CHUNK))
        return np.stack([one.logits for part in parts for one in engine.predict(list(part))])

    return logits


def measure_methods(
    variant: str, engine: Engine, seed: int, sizes: Sizes, path: Path
) -> dict[str, Any]:
    """Check the controls, then score every method where all of them hold.

    Parameters
    ----------
    variant : str
        A key of `VARIANTS`.
    engine : Engine
        A network that was trained on it.
    seed : int
        Of the scenes.
    sizes : Sizes
        How many images.
    path : Path
        A JSON file, written after each method; what it has already is not measured again.

    Returns
    -------
    dict of str to Any
        `controls`, the share of the images on which each intervention has the answer that it has
        to have; `n_controls` and `n_always`, the images and those on which all have; `known`, the
        scenes that methods are scored on; `scores` by question, method and metric, a value for
        each image.

    Raises
    ------
    GroundTruthError
        There are too few images on which all controls hold, or the file is of other sizes.
    """
    scenes = explained_scenes(variant, seed, sizes.controls)
    result = _read(path)
    if result is None:
        result = _check_controls(variant, engine, scenes, seed, sizes)
        _write(result, path)
    if result["sizes"] != asdict(sizes):
        raise GroundTruthError(f"{path} has scores of other numbers of images: remove it first")
    known = scenes[np.array(result["known"])]
    for question in ask(variant, known):
        found = result["scores"].setdefault(question.name, {})
        for name, scores in score_all(engine, known.render(), question, sizes, set(found)):
            found[name] = scores
            _write(result, path)
    return result


def _check_controls(
    variant: str, engine: Engine, scenes: Scenes, seed: int, sizes: Sizes
) -> dict[str, Any]:
    """The part of the result of `measure_methods` that says whether the answer is known."""
    held = intervene(variant, logits_of(engine), scenes, seed)
    always: NDArray[np.bool_] = np.logical_and.reduce(list(held.values()))
    known = always.nonzero()[0][: sizes.one_pass]
    if len(known) < min(MIN_KNOWN, sizes.one_pass):
        raise GroundTruthError(
            f"on {len(known)} of {len(scenes)} images only does the network do what the ground "
            "truth says, so that its explanations have no known answer: train it for longer"
        )
    return {
        "sizes": asdict(sizes),
        "controls": {name: float(values.mean()) for name, values in held.items()},
        "n_controls": len(scenes),
        "n_always": int(always.sum()),
        "known": known.tolist(),
        "scores": {},
    }


def measure_planted(name: str, seed: int, sizes: Sizes, device: torch.device) -> dict[str, Any]:
    """Score every method on a network of `PLANTED`: `scores` as in `measure_methods`."""
    engine = Engine(planted_bundle(name, seed), device)
    pixels, questions = PLANTED[name][1](seed, sizes.one_pass)
    scores = {one.name: dict(score_all(engine, pixels, one, sizes, set())) for one in questions}
    return {"seed": seed, "architecture": engine.card.architecture, "scores": scores}


def score_all(
    engine: Engine, pixels: Pixels, question: Question, sizes: Sizes, done: set[str]
) -> Iterator[tuple[str, Scores]]:
    """Score the baselines, then the methods that are not done yet, by name."""
    images = normalize(torch.from_numpy(pixels), engine.card.mean, engine.card.std)
    for name, baseline in BASELINES.items():
        yield BASELINE + name, question.score(baseline(images).numpy())
    for candidate in find_candidates(engine):
        if candidate.name not in done:
            n_passes = candidate.method.n_passes(1, engine.card.input_size)
            n = len(pixels) if n_passes == 1 else sizes.sampled
            yield candidate.name, _score(engine, candidate, pixels[:n], question.first(n))


def _score(engine: Engine, candidate: Candidate, pixels: Pixels, question: Question) -> Scores:
    maps = explain_maps(
        *(engine, pixels, candidate.method, question.targets, candidate.start),
        contrasts=question.contrasts,
    )
    return question.score(maps.relevance)


def _read(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return result


def _write(result: dict[str, Any], path: Path) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(result) + "\n", encoding="utf-8")
    partial.replace(path)
