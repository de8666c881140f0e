"""The explainer: zennit's numbers, on weights that it shares and never changes."""

from __future__ import annotations

import copy
import gc
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from zennit.attribution import Gradient

from service.lrp import explainer as explainer_module
from service.lrp.composites import FACTORIES
from service.lrp.explainer import Explainer, share_weights
from service.methods import COMPOSITES, Method, Parameter, make_method
from service.models.bundles import Bundle
from service.runtime.engine import Engine
from service.runtime.jobs import ExplainJob
from tests.lrp.reference import normalized, zennit_composite, zennit_explain
from tests.network_input import read_pixels


def corners(parameter: Parameter) -> tuple[float | bool, ...]:
    if isinstance(parameter.default, bool):
        return (False, True)
    assert parameter.minimum is not None
    assert parameter.maximum is not None
    return (parameter.minimum, parameter.default, parameter.maximum)


def every_corner() -> Iterator[Method]:
    """Every composite with its defaults, and with each parameter in each corner."""
    for name, composite in COMPOSITES.items():
        yield make_method(name, "gradient", {})
        for parameter in composite.parameters:
            for value in corners(parameter):
                if value != parameter.default:
                    yield make_method(name, "gradient", {parameter.name: value})


CORNERS = list(every_corner())


def conserving_methods() -> list[Method]:
    names = [name for name, composite in COMPOSITES.items() if composite.conserves]
    return [make_method(name, "gradient", {"zero_bias": True}) for name in names]


def name_of(method: Method) -> str:
    values = ",".join(f"{name}={value}" for name, value in method.parameters)
    return f"{method.composite}({values})"


def one_hot(logits: Tensor) -> Tensor:
    return nn.functional.one_hot(logits.argmax(1), logits.shape[1]).to(logits)


@pytest.fixture(scope="module")
def images(samples: list[Path]) -> list[np.ndarray]:
    return [read_pixels(path) for path in samples[::40]]


def jobs_of(images: list[np.ndarray], method: Method) -> list[ExplainJob]:
    """Every start, with and without a target and a contrast."""
    return [
        ExplainJob(images[0], method),
        ExplainJob(images[1], method, target=3, start="logit"),
        ExplainJob(images[2], method, target=5, contrast=2),
        ExplainJob(images[3], method, target=0, contrast=9, start="logit"),
    ]


def start_of(job: ExplainJob, logits: Tensor) -> Tensor:
    """What a job's relevance starts from, spelled out for a batch of one."""
    start = torch.zeros_like(logits)
    target = int(logits.argmax()) if job.target is None else job.target
    start[0, target] = logits[0, target] if job.start == "logit" else 1.0
    if job.contrast is not None:
        start[0, job.contrast] = -logits[0, job.contrast] if job.start == "logit" else -1.0
    return start


@pytest.mark.parametrize("method", CORNERS, ids=name_of)
def test_relevance_equals_zennit_called_directly(
    engine: Engine, images: list[np.ndarray], method: Method
) -> None:
    jobs = jobs_of(images, method)
    for job, in_batch in zip(jobs, engine.explain(jobs), strict=True):
        (alone,) = engine.explain([job])
        logits, relevance = zennit_explain([job.pixels], partial(start_of, job), method)
        largest = np.abs(relevance).max()
        np.testing.assert_allclose(alone.logits, logits[0], rtol=0, atol=1e-5)
        np.testing.assert_allclose(alone.relevance, relevance[0], rtol=0, atol=1e-5 * largest)
        if method.conserves:  # a plain gradient jumps where rounding moves a unit across zero
            limit = 1e-4 * largest
            np.testing.assert_allclose(in_batch.relevance, relevance[0], rtol=0, atol=limit)


@pytest.mark.parametrize("method", CORNERS, ids=name_of)
def test_in_double_precision_relevance_equals_zennit_to_rounding_alone_and_in_a_batch(
    shipped_bundle: Bundle, images: list[np.ndarray], method: Method
) -> None:
    explainer = Explainer(copy.deepcopy(shipped_bundle.model).double())
    batch = normalized(images, shipped_bundle).double()
    reference = copy.deepcopy(shipped_bundle.model).double()
    _, found = explainer.explain(batch, one_hot, method)
    _, wanted = Gradient(reference, zennit_composite(method))(batch, one_hot)
    for image, found_item, wanted_item in zip(batch, found, wanted, strict=True):
        limit = 1e-9 * float(wanted_item.abs().max())
        torch.testing.assert_close(found_item, wanted_item, rtol=0, atol=limit)
        _, alone = explainer.explain(image[None], one_hot, method)
        torch.testing.assert_close(alone[0], wanted_item, rtol=0, atol=limit)


@pytest.mark.parametrize("method", conserving_methods(), ids=name_of)
def test_without_biases_all_relevance_arrives(
    engine: Engine, images: list[np.ndarray], method: Method
) -> None:
    for explanation in engine.explain([ExplainJob(image, method) for image in images]):
        assert explanation.relevance.sum(dtype=np.float64) == pytest.approx(1, abs=0.01)


def test_every_composite_that_can_be_asked_for_has_rules_and_no_other() -> None:
    assert FACTORIES.keys() == COMPOSITES.keys()


BLANK = [np.full((32, 32, 3), value, np.uint8) for value in (0, 255)]


@pytest.mark.parametrize("method", CORNERS, ids=name_of)
def test_relevance_is_finite_in_every_corner(
    engine: Engine, images: list[np.ndarray], method: Method
) -> None:
    for explanation in engine.explain([ExplainJob(image, method) for image in (*BLANK, *images)]):
        assert np.isfinite(explanation.relevance).all()


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_relevance_is_finite_for_all_parameters_within_bounds(
    engine: Engine, images: list[np.ndarray], data: st.DataObject
) -> None:
    composite = COMPOSITES[data.draw(st.sampled_from(sorted(COMPOSITES)))]
    values = {
        parameter.name: data.draw(
            st.booleans()
            if isinstance(parameter.default, bool)
            else st.floats(parameter.minimum, parameter.maximum)
        )
        for parameter in composite.parameters
    }
    method = make_method(composite.name, "gradient", values)
    (explanation,) = engine.explain([ExplainJob(images[0], method)])
    assert np.isfinite(explanation.relevance).all()


def storages(model: nn.Module) -> dict[str, int]:
    return {name: parameter.data_ptr() for name, parameter in model.named_parameters()}


def test_both_models_have_the_same_weights_in_the_same_place(shipped_bundle: Bundle) -> None:
    model = shipped_bundle.model
    twin = share_weights(model)
    assert twin is not model
    assert storages(twin) == storages(model)
    assert all(one is not other for one, other in zip(model.modules(), twin.modules(), strict=True))


@pytest.fixture
def tiny() -> nn.Module:
    torch.manual_seed(0)
    layers = (nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(64, 3))
    return nn.Sequential(*layers).eval().requires_grad_(False)


TINY_IMAGES = torch.linspace(-1, 1, 2 * 3 * 6 * 6).view(2, 3, 6, 6)


def test_weights_stay_as_they_are_bit_for_bit(tiny: nn.Module) -> None:
    before = {name: value.clone() for name, value in tiny.state_dict().items()}
    places = storages(tiny)
    explainer = Explainer(tiny)
    for method in CORNERS:
        explainer.explain(TINY_IMAGES, one_hot, method)
    assert storages(tiny) == storages(explainer._model) == places
    assert all(torch.equal(value, before[name]) for name, value in tiny.state_dict().items())


def test_images_stay_as_they_are(tiny: nn.Module) -> None:
    images = TINY_IMAGES.clone()
    Explainer(tiny).explain(images, one_hot, Method())
    assert torch.equal(images, TINY_IMAGES)
    assert not images.requires_grad


def hooks_of(model: nn.Module) -> list[object]:
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return [hook for m in model.modules() for kind in kinds for hook in getattr(m, kind).values()]


def test_no_hook_stays_after_a_call(tiny: nn.Module) -> None:
    explainer = Explainer(tiny)
    explainer.explain(TINY_IMAGES, one_hot, Method())
    assert hooks_of(tiny) == hooks_of(explainer._model) == []


def test_no_hook_stays_after_a_call_that_failed(tiny: nn.Module) -> None:
    def fail(logits: Tensor) -> Tensor:
        assert hooks_of(explainer._model)
        raise ValueError("no start")

    explainer = Explainer(tiny)
    with pytest.raises(ValueError, match="no start"):
        explainer.explain(TINY_IMAGES, fail, Method())
    assert hooks_of(explainer._model) == []


def count_objects() -> dict[str, int]:
    gc.collect()
    kinds = {"tensors": Tensor, "handles": RemovableHandle, "functions": type(count_objects)}
    found = gc.get_objects()
    return {name: sum(type(o) is kind for o in found) for name, kind in kinds.items()}


def test_nothing_grows_with_the_number_of_calls(tiny: nn.Module) -> None:
    explainer = Explainer(tiny)
    explainer.explain(TINY_IMAGES, one_hot, Method())
    before = count_objects()
    for _ in range(200):
        explainer.explain(TINY_IMAGES, one_hot, Method())
    assert count_objects() == before


def test_the_number_of_resident_attributors_is_bounded(
    tiny: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explainer_module, "MAX_ATTRIBUTORS", 3)
    explainer = Explainer(tiny)
    methods = [make_method("epsilon_plus", "gradient", {"epsilon": 10.0**-n}) for n in range(6)]
    first = [explainer.explain(TINY_IMAGES, one_hot, method)[1] for method in methods]
    explainer.explain(TINY_IMAGES, one_hot, methods[3])
    explainer.explain(TINY_IMAGES, one_hot, methods[0])
    assert list(explainer._attributors) == [methods[5], methods[3], methods[0]]
    again = [explainer.explain(TINY_IMAGES, one_hot, method)[1] for method in methods]
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))


def test_one_method_has_one_resident_attributor(tiny: nn.Module) -> None:
    explainer = Explainer(tiny)
    for _ in range(3):
        explainer.explain(TINY_IMAGES, one_hot, make_method("epsilon_plus", "gradient", {}))
    assert len(explainer._attributors) == 1


def test_dropout_is_off_and_no_relu_works_in_place() -> None:
    model = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(inplace=True), nn.Dropout(), nn.Flatten())
    twin = share_weights(model.train())
    assert not any(module.training for module in twin.modules())
    assert not any(module.inplace for module in twin.modules() if isinstance(module, nn.ReLU))
