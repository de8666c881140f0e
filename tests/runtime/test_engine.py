"""The engine: a batch is its items, and the same job gives the same answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from service.errors import BundleError, LogitsError, OptionError, OutOfMemory
from service.lrp import trial
from service.lrp.passes import Passes, Pause
from service.methods import COMPOSITES, Method, make_method
from service.models.bundles import read_bundle
from service.models.registry import find_bundle
from service.runtime.engine import Engine
from service.runtime.engines import load_engines
from service.runtime.jobs import (
    Attribution,
    ExplainJob,
    Explanation,
    LayerInfo,
    Prediction,
    PredictJob,
)
from tests.helpers.network_input import Pixels, read_pixels

MODEL = "minivgg-cifar10"
ResultT = TypeVar("ResultT")


@pytest.fixture(scope="module")
def images(samples: list[Path]) -> list[Pixels]:
    return [read_pixels(path) for path in samples[::25]]


@pytest.fixture(params=COMPOSITES)
def method(request: pytest.FixtureRequest) -> Method:
    return make_method(request.param, "gradient", {})


def mixed_jobs(images: list[Pixels], method: Method) -> list[ExplainJob]:
    jobs = [ExplainJob(image, MODEL, method, (n,)) for n, image in enumerate(images)]
    jobs[1] = replace(jobs[1], targets=(None,))
    jobs[2] = replace(jobs[2], contrast=7)
    jobs[3] = replace(jobs[3], start="logit")
    jobs[4] = replace(jobs[4], start="logit", contrast=0)
    return jobs


def explain_alone(engine: Engine, job: ExplainJob) -> Explanation:
    (found,) = engine.explain([job])
    return found


def only(explanation: Explanation) -> Attribution:
    """What was found for the one target."""
    (found,) = explanation.attributions
    return found


def test_an_explanation_in_a_batch_equals_the_one_alone(
    engine: Engine, images: list[Pixels], method: Method
) -> None:
    jobs = mixed_jobs(images, method)
    deviations = []
    for job, together in zip(jobs, engine.explain(jobs), strict=True):
        alone = explain_alone(engine, job)
        one, other = only(together), only(alone)
        difference = np.abs(one.relevance - other.relevance).max()
        deviations.append(difference / np.abs(other.relevance).max())
        np.testing.assert_allclose(together.logits, alone.logits, rtol=0, atol=1e-5)
        assert one.target == other.target
        assert one.total == pytest.approx(other.total, abs=1e-5)
    assert max(deviations) < 1e-5


def test_a_prediction_in_a_batch_equals_the_one_alone(engine: Engine, images: list[Pixels]) -> None:
    for image, together in zip(images, engine.predict(images), strict=True):
        (alone,) = engine.predict([image])
        np.testing.assert_allclose(together.logits, alone.logits, rtol=0, atol=1e-5)


def test_the_same_job_twice_gives_the_same_bytes(
    engine: Engine, images: list[Pixels], method: Method
) -> None:
    job = ExplainJob(images[0], MODEL, method, (3,))
    first = explain_alone(engine, job)
    other = make_method("epsilon_plus", "gradient", {})
    explain_alone(engine, ExplainJob(images[1], MODEL, other))
    second = explain_alone(engine, job)
    assert only(first).relevance.tobytes() == only(second).relevance.tobytes()
    assert first.logits.tobytes() == second.logits.tobytes()


def test_explaining_predicts_what_predicting_predicts(
    engine: Engine, images: list[Pixels], method: Method
) -> None:
    for image in images:
        (predicted,) = engine.run([PredictJob(image, MODEL)])
        assert isinstance(predicted, Prediction)
        explained = explain_alone(engine, ExplainJob(image, MODEL, method))
        np.testing.assert_allclose(explained.logits, predicted.logits, rtol=0, atol=1e-6)


def test_results_have_the_shapes_and_types_that_are_promised(
    engine: Engine, images: list[Pixels], method: Method
) -> None:
    explained = explain_alone(engine, ExplainJob(images[0], MODEL, method))
    assert explained.logits.shape == (10,)
    assert only(explained).relevance.shape == (3, 32, 32)
    assert {explained.logits.dtype, only(explained).relevance.dtype} == {np.dtype("float32")}
    assert explained.engine == "twin"


def test_without_a_target_the_predicted_class_is_explained(
    engine: Engine, images: list[Pixels]
) -> None:
    for image in images:
        explained = explain_alone(engine, ExplainJob(image, MODEL, Method()))
        found = only(explained)
        assert found.target == explained.logits.argmax()
        job = ExplainJob(image, MODEL, Method(), (found.target,))
        named = only(explain_alone(engine, job))
        assert named.relevance.tobytes() == found.relevance.tobytes()


def test_the_start_is_one_the_logit_or_their_difference(
    engine: Engine, images: list[Pixels]
) -> None:
    job = ExplainJob(images[0], MODEL, Method(), (4,))
    logits = explain_alone(engine, job).logits
    totals = {
        1.0: replace(job, start="one_hot"),
        logits[4]: replace(job, start="logit"),
        0.0: replace(job, contrast=6, start="one_hot"),
        logits[4] - logits[6]: replace(job, contrast=6, start="logit"),
    }
    for total, asked in totals.items():
        assert only(explain_alone(engine, asked)).total == pytest.approx(total, abs=1e-6)


# the others keep the positive part on the way: they are not linear
LINEAR = [name for name in COMPOSITES if name not in ("deconvnet", "guided_backprop")]


@pytest.mark.parametrize("method", LINEAR, indirect=True)
def test_a_contrast_is_the_relevance_of_one_class_less_that_of_the_other(
    engine: Engine, images: list[Pixels], method: Method
) -> None:
    job = ExplainJob(images[0], MODEL, method, (4,))
    one = only(explain_alone(engine, job)).relevance
    other = only(explain_alone(engine, replace(job, targets=(6,)))).relevance
    both = only(explain_alone(engine, replace(job, contrast=6))).relevance
    limit = 1e-5 * np.abs(one).max()
    np.testing.assert_allclose(both, one - other, rtol=0, atol=limit)


def test_a_class_is_not_explained_against_itself(engine: Engine, images: list[Pixels]) -> None:
    predicted = only(explain_alone(engine, ExplainJob(images[0], MODEL, Method()))).target
    for target in (predicted, None):
        with pytest.raises(OptionError, match="contrast: is the class that is explained"):
            engine.explain([ExplainJob(images[0], MODEL, Method(), (target,), contrast=predicted)])


def run_with_pauses(
    passes: Passes[ResultT], in_each_pause: Callable[[], None]
) -> tuple[list[Pause], ResultT]:
    """Run passes to their end; give the pauses and the result."""
    pauses: list[Pause] = []
    while True:
        try:
            pauses.append(next(passes))
        except StopIteration as end:
            result: ResultT = end.value
            return pauses, result
        in_each_pause()


@pytest.mark.parametrize("attributor", ["gradient", "smooth_grad", "integrated_gradients"])
def test_pauses_and_other_batches_in_them_do_not_change_results(
    engine: Engine, images: list[Pixels], attributor: str
) -> None:
    job = ExplainJob(images[0], MODEL, make_method(None, attributor, {}), (1, 2, None))
    (alone,) = engine.explain([job])

    def run_others() -> None:
        engine.run([PredictJob(images[1], MODEL)])
        engine.run([ExplainJob(images[1], MODEL, Method())] * 4)

    pauses, (sliced,) = run_with_pauses(engine.run_in_passes([job]), run_others)
    assert isinstance(sliced, Explanation)
    assert len(pauses) >= len(job.targets)
    assert (Pause.BETWEEN in pauses) is (attributor != "gradient")
    for one, other in zip(alone.attributions, sliced.attributions, strict=True):
        assert one.relevance.tobytes() == other.relevance.tobytes()
        assert one.total == other.total


class Detached(nn.Module):
    """A network through which no gradient comes."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, images: Tensor) -> Tensor:
        """Compute logits."""
        logits: Tensor = self.inner(images)
        return logits.detach()


def test_a_network_that_cannot_be_explained_is_refused_in_a_sentence() -> None:
    bundle = read_bundle(find_bundle(MODEL))
    broken = replace(bundle, model=Detached(bundle.model))
    with pytest.raises(BundleError, match=f"the network of the model {MODEL} cannot be used: "):
        Engine(broken, torch.device("cpu")).warm_up()


def test_what_is_wrong_with_one_of_a_batch_is_its_own_error(
    engine: Engine, images: list[Pixels]
) -> None:
    job = ExplainJob(images[0], MODEL, Method())
    predicted = only(explain_alone(engine, job)).target
    good, bad = replace(job, contrast=(predicted + 1) % 10), replace(job, contrast=predicted)
    outcomes = engine.run([good, bad, good])
    assert [type(outcome) for outcome in outcomes] == [Explanation, OptionError, Explanation]


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    ],
    ids=repr,
)
def test_a_batch_that_does_not_fit_into_memory_says_so(
    engine: Engine, images: list[Pixels], error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explain(*_: object) -> None:
        raise error

    monkeypatch.setattr(engine.explainer, "explain_in_passes", explain)
    with pytest.raises(OutOfMemory, match="more memory than the device has"):
        engine.run([ExplainJob(images[0], MODEL, Method())])


def test_the_best_batch_is_found_at_warm_up(engine: Engine, images: list[Pixels]) -> None:
    sizes = {1, 2, 4, 8, 16, 32}
    one_pass = ExplainJob(images[0], MODEL, Method())
    many = ExplainJob(images[0], MODEL, make_method(None, "smooth_grad", {}))
    assert engine.best_batch_size(one_pass) == engine.best_batch_size(PredictJob(images[0], MODEL))
    assert engine.best_batch_size(one_pass) in sizes
    assert engine.best_batch_size(many) == 1


def test_a_batch_of_several_methods_is_refused(engine: Engine, images: list[Pixels]) -> None:
    methods = [make_method(name, "gradient", {}) for name in ("epsilon_plus", "none")]
    jobs = [ExplainJob(images[0], MODEL, method) for method in methods]
    with pytest.raises(ValueError, match="one method"):
        engine.explain(jobs)


def test_logits_that_are_not_finite_are_refused(images: list[Pixels]) -> None:
    bundle = read_bundle(find_bundle(MODEL))
    broken = Engine(bundle, torch.device("cpu"))
    bundle.model.get_parameter("classifier.7.bias").fill_(float("inf"))
    with pytest.raises(LogitsError, match="not finite"):
        broken.explain([ExplainJob(images[0], MODEL, Method(), (0,), start="logit")])
    outcomes = broken.run([PredictJob(images[0], MODEL)])
    assert [type(outcome) for outcome in outcomes] == [LogitsError]


def test_the_image_is_normalized_as_the_card_says(engine: Engine, images: list[Pixels]) -> None:
    mean, std = np.array(engine.card.mean), np.array(engine.card.std)
    wanted = ((images[0] / 255 - mean) / std).transpose(2, 0, 1)
    np.testing.assert_allclose(
        engine._normalize(torch.from_numpy(images[0])[None])[0].numpy(), wanted, atol=1e-6
    )


def test_several_targets_are_answered_in_their_order(engine: Engine, images: list[Pixels]) -> None:
    together = explain_alone(engine, ExplainJob(images[0], MODEL, Method(), (4, 0, 9)))
    assert [found.target for found in together.attributions] == [4, 0, 9]
    for found in together.attributions:
        alone = explain_alone(engine, ExplainJob(images[0], MODEL, Method(), (found.target,)))
        assert found.relevance.tobytes() == only(alone).relevance.tobytes()


def test_jobs_of_a_batch_may_have_different_numbers_of_targets(
    engine: Engine, images: list[Pixels]
) -> None:
    targets: list[tuple[int | None, ...]] = [(None,), (1, 2, 3), (5, 4)]
    jobs = [ExplainJob(images[n], MODEL, Method(), one) for n, one in enumerate(targets)]
    found = [[one.target for one in each.attributions] for each in engine.explain(jobs)]
    predicted = int(engine.predict([images[0]])[0].logits.argmax())
    assert found == [[predicted], [1, 2, 3], [5, 4]]


def test_relevance_is_counted_from_the_output_to_the_layer(
    engine: Engine, images: list[Pixels]
) -> None:
    found = only(explain_alone(engine, ExplainJob(images[0], MODEL, Method())))
    assert found.by_layer is not None
    assert [one.layer for one in found.by_layer] == BY_LAYER
    assert found.by_layer[0].arrived == pytest.approx(found.total)
    method = make_method("epsilon_plus_flat", "gradient", {}, layer="features.6")
    inside = only(explain_alone(engine, ExplainJob(images[0], MODEL, method)))
    assert inside.by_layer is not None
    assert [one.layer for one in inside.by_layer] == BY_LAYER[: BY_LAYER.index("features.6") + 1]
    assert inside.by_layer[-1].arrived == pytest.approx(inside.relevance.sum(), rel=1e-5)
    wanted = {one.layer: one.arrived for one in found.by_layer}
    assert inside.by_layer[-1].arrived == pytest.approx(wanted["features.6"], rel=1e-5)


BY_LAYER = [
    "classifier.7",
    "classifier.4",
    "classifier.1",
    "features.11",
    "features.9",
    "features.6",
    "features.5",
    "features.3",
    "features.0",
]


def test_what_does_not_conserve_is_not_counted(engine: Engine, images: list[Pixels]) -> None:
    for method in (make_method("none", "gradient", {}), make_method(None, "occlusion", {})):
        assert only(explain_alone(engine, ExplainJob(images[0], MODEL, method))).by_layer is None


def test_every_layer_that_is_listed_can_be_asked_for(engine: Engine, images: list[Pixels]) -> None:
    assert engine.layers[0].name == "classifier.7"
    assert engine.layers[-1] == LayerInfo("input", "Image", (3, 32, 32))
    for layer in engine.layers:
        method = make_method("epsilon_plus", "gradient", {}, layer=layer.name)
        found = only(explain_alone(engine, ExplainJob(images[0], MODEL, method)))
        assert found.relevance.shape == layer.shape
        assert layer.has_space == (found.relevance.ndim == 3)


def test_a_layer_that_is_not_there_is_named(engine: Engine, images: list[Pixels]) -> None:
    method = make_method("epsilon_plus", "gradient", {}, layer="features.99")
    with pytest.raises(OptionError, match=r"layer: must be one of: input, features\.0, "):
        engine.explain([ExplainJob(images[0], MODEL, method)])


def test_warming_up_needs_no_image_and_changes_nothing(
    engine: Engine, images: list[Pixels]
) -> None:
    before = engine.predict(images[:1])[0].logits.tobytes()
    engine.warm_up()
    assert engine.predict(images[:1])[0].logits.tobytes() == before


def test_engines_are_loaded_by_name_from_their_folders(images: list[Pixels]) -> None:
    engines = load_engines({MODEL: find_bundle(MODEL)}, "cpu")
    assert list(engines) == [MODEL]
    (found,) = engines[MODEL].run([PredictJob(images[0], MODEL)])
    assert isinstance(found, Prediction)
    assert engines[MODEL].device_name.startswith("cpu (")


def test_a_bundle_or_a_device_that_is_not_there_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(BundleError):
        load_engines({MODEL: tmp_path}, "cpu")
    with pytest.raises(BundleError):
        load_engines({MODEL: find_bundle(MODEL)}, "abacus")


def test_a_network_whose_graph_computes_something_else_is_explained_as_it_is(
    monkeypatch: pytest.MonkeyPatch, images: list[Pixels]
) -> None:
    monkeypatch.setattr(trial, "_computes", lambda *_: False)
    careful = Engine(read_bundle(find_bundle(MODEL)), torch.device("cpu"))
    found = explain_alone(careful, ExplainJob(images[0], MODEL, Method()))
    assert found.engine == "zennit"
    assert [layer.name for layer in careful.layers] == ["input"]
