"""The explainer: zennit's numbers, the same alone, in a batch and in threads."""

from __future__ import annotations

import copy
import gc
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from service.errors import OptionError
from service.lrp import explainer as explainer_module
from service.lrp.attribution.output_relevance import OutputRelevance
from service.lrp.explainer import UNTRACED, Explainer
from service.methods import COMPOSITES, Method, make_method, parse_rules
from service.models.bundles import Bundle
from service.runtime.engine import Engine
from service.runtime.jobs import ExplainJob
from tests.helpers.network_input import read_pixels
from tests.lrp.methods import CONSERVING, CORNERS, name_of
from tests.lrp.networks import LOW, make_images
from tests.lrp.reference import normalized, zennit_explain

MODEL = "minivgg-cifar10"
NAMED = [make_method(name, "gradient", {}) for name in COMPOSITES]


@pytest.fixture(scope="module")
def images(samples: list[Path]) -> list[np.ndarray]:
    return [read_pixels(path) for path in samples[::12][:16]]


@pytest.fixture(scope="module")
def batch(images: list[np.ndarray], shipped_bundle: Bundle) -> Tensor:
    return normalized(images, shipped_bundle)


@pytest.fixture(scope="module")
def shipped(engine: Engine) -> Explainer:
    return engine.explainer


@pytest.fixture(scope="module")
def in_double(shipped: Explainer) -> Explainer:
    return shipped.to_double()


def mixed_start(n: int) -> OutputRelevance:
    """Predicted and given targets, with and without a contrast, from 1 and from the logit."""
    rows = torch.arange(n)
    targets = torch.where(rows % 3 == 0, -1, rows % 10)
    contrasts = torch.where(rows % 4 == 1, (rows + 3) % 10, -1)
    return OutputRelevance(targets, contrasts, rows % 2 == 1)


def rows_of(start: OutputRelevance, row: int) -> OutputRelevance:
    one = slice(row, row + 1)
    return OutputRelevance(start.targets[one], start.contrasts[one], start.is_logit[one])


def start_of(start: OutputRelevance, logits: Tensor) -> Tensor:
    """What relevance starts from, spelled out for a batch of one."""
    relevance = torch.zeros_like(logits)
    target = int(logits.argmax()) if start.targets[0] < 0 else int(start.targets[0])
    relevance[0, target] = logits[0, target] if start.is_logit[0] else 1.0
    contrast = int(start.contrasts[0])
    if contrast >= 0:
        relevance[0, contrast] = -logits[0, contrast] if start.is_logit[0] else -1.0
    return relevance


def deviations(found: Iterable[Tensor], wanted: Iterable[Tensor]) -> list[float]:
    """The largest difference of each image, relative to its largest relevance."""
    pairs = zip(found, wanted, strict=True)
    return [float((one - other).abs().max() / other.abs().max()) for one, other in pairs]


@pytest.mark.parametrize("method", CORNERS, ids=name_of)
def test_relevance_equals_zennit_called_directly_on_the_network_as_it_is(
    in_double: Explainer, images: list[np.ndarray], batch: Tensor, method: Method
) -> None:
    start = mixed_start(4)
    found = in_double.explain(batch[:4].double(), [start], method).relevances[0]
    for row in range(4):
        spelled_out = partial(start_of, rows_of(start, row))
        _, wanted = zennit_explain([images[row]], spelled_out, method)
        # the images are made in float32 on either side
        assert deviations([found[row]], [torch.from_numpy(wanted[0])])[0] < 1e-9


@pytest.mark.parametrize("method", NAMED, ids=name_of)
def test_a_batch_of_16_with_mixed_targets_equals_its_items_one_by_one(
    in_double: Explainer, batch: Tensor, method: Method
) -> None:
    start = mixed_start(16)
    together = in_double.explain(batch.double(), [start], method).relevances[0]
    alone = [
        in_double.explain(batch[row : row + 1].double(), [rows_of(start, row)], method)
        for row in range(16)
    ]
    assert max(deviations(together, [one.relevances[0][0] for one in alone])) < 1e-9


@pytest.mark.parametrize("method", NAMED, ids=name_of)
def test_so_it_does_in_single_precision(shipped: Explainer, batch: Tensor, method: Method) -> None:
    start = mixed_start(16)
    together = shipped.explain(batch, [start], method).relevances[0]
    alone = [
        shipped.explain(batch[row : row + 1], [rows_of(start, row)], method).relevances[0][0]
        for row in range(16)
    ]
    assert max(deviations(together, alone)) < 1e-5


@pytest.mark.parametrize("method", NAMED, ids=name_of)
def test_the_same_call_gives_the_same_bytes(
    shipped: Explainer, batch: Tensor, method: Method
) -> None:
    first, second = (shipped.explain(batch[:1], [mixed_start(1)], method) for _ in range(2))
    assert torch.equal(first.relevances[0], second.relevances[0])
    assert torch.equal(first.logits, second.logits)


def test_several_targets_of_one_forward_pass_equal_one_call_each(
    shipped: Explainer, batch: Tensor
) -> None:
    starts = [
        OutputRelevance(torch.full((2,), t), torch.tensor([-1, -1]), torch.zeros(2) > 0)
        for t in (1, 7)
    ]
    together = shipped.explain(batch[:2], starts, Method())
    for start, relevance in zip(starts, together.relevances, strict=True):
        assert torch.equal(relevance, shipped.explain(batch[:2], [start], Method()).relevances[0])


def test_16_threads_on_one_twin_equal_one_thread(shipped: Explainer, batch: Tensor) -> None:
    methods = [make_method(name, "gradient", {}) for name in COMPOSITES]
    asks = [(row, methods[n % len(methods)]) for n, row in enumerate(list(range(16)) * 4)]

    def explain(ask: tuple[int, Method]) -> Tensor:
        row, method = ask
        found = shipped.explain(batch[row : row + 1], [mixed_start(1)], method)
        assert shipped.prepare(method).engine == "twin"
        return found.relevances[0]

    alone = [explain(ask) for ask in asks]
    with ThreadPoolExecutor(16) as pool:
        together = list(pool.map(explain, asks))
    assert max(deviations(together, alone)) < 1e-5


def resident_bytes() -> int:
    gc.collect()
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def count_objects() -> dict[str, int]:
    gc.collect()
    kinds = {"tensors": Tensor, "handles": RemovableHandle, "functions": type(count_objects)}
    found = gc.get_objects()
    return {name: sum(type(o) is kind for o in found) for name, kind in kinds.items()}


def test_a_thousand_calls_leave_the_memory_where_it_was(shipped: Explainer, batch: Tensor) -> None:
    for _ in range(100):
        shipped.explain(batch[:1], [mixed_start(1)], Method())
    objects, resident = count_objects(), resident_bytes()
    for _ in range(1000):
        shipped.explain(batch[:1], [mixed_start(1)], Method())
    grown = {kind: n - objects[kind] for kind, n in count_objects().items()}
    assert max(grown.values()) < 100, grown
    assert resident_bytes() - resident < 0.02 * resident


# alpha and beta conserve only where each output has contributions of both signs
EXACT = [method for method in CONSERVING if "alpha" not in method.composite]


@pytest.mark.parametrize("method", EXACT, ids=name_of)
def test_without_biases_and_stabilizers_all_relevance_arrives_at_every_layer(
    shipped_bundle: Bundle, batch: Tensor, method: Method
) -> None:
    explainer = Explainer(copy.deepcopy(shipped_bundle.model).double())
    tiny = {"epsilon": 1e-14, "stabilizer": 1e-14, "zero_bias": True}
    has = dict(method.parameters)
    exact = make_method(method.composite, "gradient", {k: v for k, v in tiny.items() if k in has})
    found = explainer.explain(batch.double(), [OutputRelevance.predicted(len(batch))], exact)
    arrived = found.relevances[0].flatten(1).sum(1)
    torch.testing.assert_close(arrived, torch.ones_like(arrived), rtol=0, atol=1e-9)
    torch.testing.assert_close(
        found.layer_sums[0], torch.ones_like(found.layer_sums[0]), rtol=0, atol=1e-9
    )


BLANK = [np.full((32, 32, 3), value, np.uint8) for value in (0, 255)]


@pytest.mark.parametrize("method", CORNERS, ids=name_of)
def test_relevance_is_finite_in_every_corner(
    engine: Engine, images: list[np.ndarray], method: Method
) -> None:
    jobs = [ExplainJob(image, MODEL, method) for image in (*BLANK, *images)]
    for explanation in engine.explain(jobs):
        assert np.isfinite(explanation.attributions[0].relevance).all()


@settings(max_examples=25)
@given(data=st.data())
def test_relevance_is_finite_for_all_parameters_within_bounds(
    engine: Engine, images: list[np.ndarray], data: st.DataObject
) -> None:
    composite = COMPOSITES[data.draw(st.sampled_from(sorted(COMPOSITES)))]
    values = {
        parameter.name: data.draw(
            st.booleans()
            if parameter.kind == "boolean"
            else st.floats(parameter.minimum, parameter.maximum)
        )
        for parameter in composite.parameters
    }
    method = make_method(composite.name, "gradient", values)
    (explanation,) = engine.explain([ExplainJob(images[0], MODEL, method)])
    assert np.isfinite(explanation.attributions[0].relevance).all()


@pytest.fixture
def tiny() -> nn.Module:
    torch.manual_seed(0)
    layers = (nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Conv2d(4, 4, 1), nn.Flatten())
    return nn.Sequential(*layers, nn.Linear(64, 3)).eval().requires_grad_(False)


TINY_IMAGES = make_images(2, 6, torch.float32)
PREDICTED = [OutputRelevance.predicted(2)]


def test_weights_and_images_stay_as_they_are_bit_for_bit(tiny: nn.Module) -> None:
    before = {name: value.clone() for name, value in tiny.state_dict().items()}
    images = TINY_IMAGES.clone()
    explainer = Explainer(tiny, (torch.full((1, 3, 1, 1), LOW), torch.ones(1, 3, 1, 1)))
    for method in CORNERS:
        explainer.explain(images, PREDICTED, method)
        explainer.oracle(method).attribute(images, PREDICTED)
    assert all(torch.equal(value, before[name]) for name, value in tiny.state_dict().items())
    assert torch.equal(images, TINY_IMAGES)
    assert not images.requires_grad


def hooks_of(model: nn.Module) -> list[object]:
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return [hook for m in model.modules() for kind in kinds for hook in getattr(m, kind).values()]


@pytest.mark.parametrize("engine_name", ["twin", "zennit"])
def test_no_hook_stays_after_a_call(tiny: nn.Module, engine_name: str) -> None:
    explainer = Explainer(tiny)
    oracle = explainer.oracle(Method())
    gradient = explainer.prepare(Method()).gradient if engine_name == "twin" else oracle
    gradient.attribute(TINY_IMAGES, PREDICTED, TINY_IMAGES.new_tensor([Method().stabilizers]))
    assert hooks_of(gradient.model) == hooks_of(explainer.network.module) == []


def test_modified_weights_are_shared_and_counted_once(tiny: nn.Module) -> None:
    explainer = Explainer(tiny)
    own = {p.data_ptr() for p in explainer.network.module.parameters()}
    explainer.prepare(make_method("none", "gradient", {}))
    assert explainer.twin_bytes == 0
    explainer.prepare(make_method("epsilon_plus_flat", "gradient", {}))
    weight, bias = tiny.get_parameter("2.weight").nbytes, tiny.get_parameter("2.bias").nbytes
    positive = weight + bias  # of the middle layer: the first one is flat, the last one epsilon
    assert explainer.twin_bytes == positive
    explainer.prepare(make_method("epsilon_plus", "gradient", {}))
    first = tiny.get_parameter("0.weight").nbytes + tiny.get_parameter("0.bias").nbytes
    first += tiny.get_parameter("0.weight").nbytes  # an image has negative values too
    assert explainer.twin_bytes == positive + first
    explainer.prepare(make_method("epsilon_alpha2_beta1_flat", "gradient", {}))
    negative = weight + bias
    assert explainer.twin_bytes == positive + first + negative
    for prepared in explainer._prepared.values():
        assert {p.data_ptr() for p in prepared.gradient.model.parameters()} <= own


def test_twins_are_bounded_and_come_back_the_same(
    tiny: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explainer_module, "MAX_TWINS", 3)
    explainer = Explainer(tiny)
    gammas = [parse_rules([{"layers": "2", "rule": "gamma", "gamma": 0.1 * n}]) for n in range(6)]
    methods = [make_method(rules, "gradient", {}) for rules in gammas]
    first = [explainer.explain(TINY_IMAGES, PREDICTED, method).relevances[0] for method in methods]
    explainer.explain(TINY_IMAGES, PREDICTED, methods[3])
    explainer.explain(TINY_IMAGES, PREDICTED, methods[0])
    assert list(explainer._prepared) == [methods[n].prepared_key for n in (5, 3, 0)]
    again = [explainer.explain(TINY_IMAGES, PREDICTED, method).relevances[0] for method in methods]
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))


def test_twins_are_bounded_in_bytes_too(tiny: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    explainer = Explainer(tiny)
    entries = [{"layers": "2", "rule": "gamma", "gamma": gamma} for gamma in (0.1, 0.2, 0.3)]
    gammas = [make_method(parse_rules([entry]), "gradient", {}) for entry in entries]
    explainer.prepare(gammas[0])
    monkeypatch.setattr(explainer_module, "MAX_TWIN_BYTES", int(1.5 * explainer.twin_bytes))
    for method in gammas:
        explainer.prepare(method)
    assert list(explainer._prepared) == [gammas[2].prepared_key]
    gc.collect()
    assert explainer.twin_bytes <= explainer_module.MAX_TWIN_BYTES


class Transposed(nn.Module):
    """Has a layer without a twin rule."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.ConvTranspose2d(3, 4, 3), nn.Conv2d(4, 2, 3, padding_mode="zeros")
        self.last = nn.Linear(2 * 36, 3)

    def forward(self, images: Tensor) -> Tensor:
        """Compute logits."""
        logits: Tensor = self.last(torch.relu(self.down(self.up(images))).flatten(1))
        return logits


class Deciding(Transposed):
    """Cannot be traced."""

    def forward(self, images: Tensor) -> Tensor:
        """Compute logits."""
        return super().forward(images if images.mean() > -100 else -images)


CONVOLUTION_LIKE = parse_rules([{"layers": "type:convolution", "rule": "zplus"}])


# the box is for a convolution of the image, and this network has none
FITTING = [method for method in CORNERS if method.composite != "epsilon_gamma_box"]


@pytest.mark.parametrize("method", FITTING, ids=name_of)
def test_a_layer_without_a_twin_rule_makes_zennit_run(method: Method) -> None:
    torch.manual_seed(0)
    explainer = Explainer(Transposed())
    found = explainer.explain(TINY_IMAGES, PREDICTED, method)
    has_rule = any(rule.layers in ("type:convolution", "type:linear") for rule in method.rules)
    prepared = explainer.prepare(method)
    assert prepared.engine == ("zennit" if has_rule else "twin")
    wanted = explainer.oracle(method).attribute(TINY_IMAGES, PREDICTED)
    torch.testing.assert_close(found.relevances[0], wanted.relevances[0])
    assert prepared.recorded_layers[0] == "last"


def test_a_custom_composite_runs_on_zennit_too() -> None:
    explainer = Explainer(Transposed())
    method = make_method(CONVOLUTION_LIKE, "gradient", {})
    found = explainer.explain(TINY_IMAGES, PREDICTED, method)
    prepared = explainer.prepare(method)
    assert prepared.engine == "zennit"
    assert prepared.layers_without_rule == ("last",)
    plain = explainer.explain(TINY_IMAGES, PREDICTED, make_method("none", "gradient", {}))
    assert not torch.equal(found.relevances[0], plain.relevances[0])


def test_a_network_that_cannot_be_traced_is_explained_by_zennit() -> None:
    torch.manual_seed(0)
    explainer, traced = Explainer(Deciding()), Explainer(Transposed())
    traced.network.module.load_state_dict(explainer.network.module.state_dict())
    found = explainer.explain(TINY_IMAGES, PREDICTED, Method())
    prepared = explainer.prepare(Method())
    assert (prepared.engine, prepared.recorded_layers) == ("zennit", ())
    assert prepared.layers_without_rule == (UNTRACED,)
    wanted = traced.explain(TINY_IMAGES, PREDICTED, Method())
    torch.testing.assert_close(found.relevances[0], wanted.relevances[0])
    with pytest.raises(OptionError, match="cannot be traced"):
        explainer.explain(TINY_IMAGES, PREDICTED, make_method(CONVOLUTION_LIKE, "gradient", {}))


class Attention(nn.Module):
    """Scales channels by a function: relevance has no rule there."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4)
        self.last = nn.Linear(64, 3)

    def forward(self, images: Tensor) -> Tensor:
        """Compute logits."""
        x = self.norm(self.conv(images))
        x = x * torch.sigmoid(x.mean((2, 3), keepdim=True))
        logits: Tensor = self.last(nn.functional.relu(x).flatten(1))
        return logits


def test_what_passes_a_plain_gradient_is_named() -> None:
    explainer = Explainer(Attention())
    found = explainer.prepare(Method())
    assert found.layers_without_rule == ("norm", "mean", "sigmoid", "mul")
    plain = explainer.prepare(make_method("none", "gradient", {}))
    assert plain.layers_without_rule == ()


def test_every_layer_has_a_rule_in_the_shipped_network(shipped: Explainer) -> None:
    for method in NAMED:
        assert shipped.prepare(method).layers_without_rule == ()
