"""The engine: a batch is its items, and the same job gives the same answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from service.errors import BundleError, OptionError, RelevanceError
from service.methods import COMPOSITES, Method, make_method
from service.models.bundles import read_bundle
from service.models.registry import find_bundle
from service.runtime.engine import Engine
from service.runtime.jobs import ExplainJob, Explanation, Prediction, PredictJob
from service.runtime.load import load_engine
from service.settings import DEFAULT_MODEL
from tests.network_input import Pixels, read_pixels


@pytest.fixture(scope="module")
def images(samples: list[Path]) -> list[Pixels]:
    return [read_pixels(path) for path in samples[::25]]


@pytest.fixture(params=COMPOSITES)
def method(request: pytest.FixtureRequest) -> Method:
    return make_method(request.param, "gradient", {})


def mixed_jobs(images: list[Pixels], method: Method) -> list[ExplainJob]:
    jobs = [ExplainJob(image, method, target=n) for n, image in enumerate(images)]
    jobs[1] = replace(jobs[1], target=None)
    jobs[2] = replace(jobs[2], contrast=7)
    jobs[3] = replace(jobs[3], start="logit")
    jobs[4] = replace(jobs[4], start="logit", contrast=0)
    return jobs


def explain_alone(engine: Engine, job: ExplainJob) -> Explanation:
    found = engine.run(job)
    assert isinstance(found, Explanation)
    return found


def test_an_explanation_in_a_batch_equals_the_one_alone(
    engine: Engine, images: list[Pixels], method: Method
) -> None:
    jobs = mixed_jobs(images, method)
    deviations = []
    for job, together in zip(jobs, engine.explain(jobs), strict=True):
        alone = explain_alone(engine, job)
        difference = np.abs(together.relevance - alone.relevance).max()
        deviations.append(difference / np.abs(alone.relevance).max())
        np.testing.assert_allclose(together.logits, alone.logits, rtol=0, atol=1e-5)
        assert together.target == alone.target
        assert together.start == pytest.approx(alone.start, abs=1e-5)
    assert np.median(deviations) < 1e-5
    if method.conserves:  # a plain gradient jumps where rounding moves a unit across zero
        assert max(deviations) < 1e-4


def test_a_prediction_in_a_batch_equals_the_one_alone(engine: Engine, images: list[Pixels]) -> None:
    for image, together in zip(images, engine.predict(images), strict=True):
        (alone,) = engine.predict([image])
        np.testing.assert_allclose(together.logits, alone.logits, rtol=0, atol=1e-5)


def test_the_same_job_twice_gives_the_same_bytes(
    engine: Engine, images: list[Pixels], method: Method
) -> None:
    job = ExplainJob(images[0], method, target=3)
    first = explain_alone(engine, job)
    explain_alone(engine, ExplainJob(images[1], make_method("epsilon_plus", "gradient", {})))
    second = explain_alone(engine, job)
    assert first.relevance.tobytes() == second.relevance.tobytes()
    assert first.logits.tobytes() == second.logits.tobytes()


def test_explaining_predicts_what_predicting_predicts(
    engine: Engine, images: list[Pixels], method: Method
) -> None:
    for image in images:
        predicted = engine.run(PredictJob(image))
        assert isinstance(predicted, Prediction)
        explained = explain_alone(engine, ExplainJob(image, method))
        np.testing.assert_allclose(explained.logits, predicted.logits, rtol=0, atol=1e-6)


def test_results_have_the_shapes_and_types_that_are_promised(
    engine: Engine, images: list[Pixels], method: Method
) -> None:
    explained = explain_alone(engine, ExplainJob(images[0], method))
    assert explained.logits.shape == (10,)
    assert explained.relevance.shape == (3, 32, 32)
    assert {explained.logits.dtype, explained.relevance.dtype} == {np.dtype("float32")}


def test_without_a_target_the_predicted_class_is_explained(
    engine: Engine, images: list[Pixels]
) -> None:
    for image in images:
        explained = explain_alone(engine, ExplainJob(image, Method()))
        assert explained.target == explained.logits.argmax()
        named = explain_alone(engine, ExplainJob(image, Method(), target=explained.target))
        assert named.relevance.tobytes() == explained.relevance.tobytes()


def test_the_start_is_one_the_logit_or_their_difference(
    engine: Engine, images: list[Pixels]
) -> None:
    job = ExplainJob(images[0], Method(), target=4)
    logits = explain_alone(engine, job).logits
    starts = {
        1.0: job,
        logits[4]: replace(job, start="logit"),
        0.0: replace(job, contrast=6),
        logits[4] - logits[6]: replace(job, contrast=6, start="logit"),
    }
    for start, asked in starts.items():
        assert explain_alone(engine, asked).start == pytest.approx(start, abs=1e-6)


def test_a_contrast_is_the_relevance_of_one_class_less_that_of_the_other(
    engine: Engine, images: list[Pixels], method: Method
) -> None:
    job = ExplainJob(images[0], method, target=4)
    one = explain_alone(engine, job).relevance
    other = explain_alone(engine, replace(job, target=6)).relevance
    both = explain_alone(engine, replace(job, contrast=6)).relevance
    limit = 1e-5 * np.abs(both).max()
    np.testing.assert_allclose(both, one - other, rtol=0, atol=limit)


def test_a_class_is_not_explained_against_itself(engine: Engine, images: list[Pixels]) -> None:
    predicted = explain_alone(engine, ExplainJob(images[0], Method())).target
    for target in (predicted, None):
        with pytest.raises(OptionError, match="contrast: is the class that is explained"):
            engine.run(ExplainJob(images[0], Method(), target=target, contrast=predicted))


def test_a_batch_of_several_methods_is_refused(engine: Engine, images: list[Pixels]) -> None:
    methods = [make_method(name, "gradient", {}) for name in ("epsilon_plus", "none")]
    jobs = [ExplainJob(images[0], method) for method in methods]
    with pytest.raises(ValueError, match="one method"):
        engine.explain(jobs)


def test_relevance_that_is_not_finite_is_refused(images: list[Pixels]) -> None:
    bundle = read_bundle(find_bundle(DEFAULT_MODEL))
    bundle.model.get_parameter("classifier.7.bias").fill_(float("inf"))
    broken = Engine(bundle, torch.device("cpu"))
    with pytest.raises(RelevanceError, match="not finite"):
        broken.run(ExplainJob(images[0], Method(), start="logit", target=0))


def test_warming_up_runs_both_operations() -> None:
    class Counting(Engine):
        done: tuple[str, ...] = ()

        def predict(self, images: object) -> list[Prediction]:
            self.done += ("predict",)
            return super().predict(images)  # type: ignore[arg-type]

        def explain(self, jobs: object) -> list[Explanation]:
            self.done += ("explain",)
            return super().explain(jobs)  # type: ignore[arg-type]

    counting = Counting(read_bundle(find_bundle(DEFAULT_MODEL)), torch.device("cpu"))
    counting.warm_up()
    assert set(counting.done) == {"predict", "explain"}


def test_the_image_is_normalized_as_the_card_says(engine: Engine, images: list[Pixels]) -> None:
    mean, std = np.array(engine.card.mean), np.array(engine.card.std)
    wanted = ((images[0] / 255 - mean) / std).transpose(2, 0, 1)
    np.testing.assert_allclose(engine._normalize(images[:1])[0].numpy(), wanted, atol=1e-6)


def test_an_engine_is_loaded_by_the_name_or_the_folder_of_its_model(images: list[Pixels]) -> None:
    by_name = load_engine(DEFAULT_MODEL, "cpu")
    by_folder = load_engine(str(find_bundle(DEFAULT_MODEL)), "cpu")
    one, other = (found.predict(images[:1])[0].logits for found in (by_name, by_folder))
    assert one.tobytes() == other.tobytes()
    assert by_name.device_name.startswith("cpu (")


@pytest.mark.parametrize(("model", "device"), [("no-such-model", "cpu"), (DEFAULT_MODEL, "abacus")])
def test_a_model_or_a_device_that_is_not_there_is_one_error(model: str, device: str) -> None:
    with pytest.raises(BundleError):
        load_engine(model, device)
