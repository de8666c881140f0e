"""Modified weights: made once, shared while they are held, and gone afterwards."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Hashable, Iterator

import pytest
import torch
from torch import Tensor, nn

from service.lrp.explainer import Explainer
from service.lrp.rules.modified_weights import ModifiedWeights, negative, positive
from service.methods import make_method

VALUES = torch.tensor([[-2.0, 0.5], [0.0, 3.0]])


@pytest.fixture
def weight() -> nn.Parameter:
    return nn.Parameter(VALUES.clone())


@pytest.fixture
def weights() -> ModifiedWeights:
    return ModifiedWeights()


def test_the_parts_of_a_weight_by_hand() -> None:
    assert positive(VALUES).tolist() == [[0.0, 0.5], [0.0, 3.0]]
    assert negative(VALUES).tolist() == [[-2.0, 0.0], [0.0, 0.0]]


def test_the_same_modification_of_the_same_weight_is_the_same_tensor(
    weights: ModifiedWeights, weight: nn.Parameter
) -> None:
    calls: list[Tensor] = []

    def modify(own: Tensor) -> Tensor:
        calls.append(own)
        return positive(own)

    first = weights.make(weight, "positive", modify)
    assert weights.make(weight, "positive", modify) is first
    assert weights.make(weight.detach(), "positive", modify) is first
    assert len(calls) == 1
    assert torch.equal(first, positive(VALUES))


@pytest.mark.parametrize(
    ("name", "modify"),
    [("negative", negative), (("gamma", 0.5), lambda own: own + 0.5 * positive(own))],
)
def test_another_name_is_another_tensor(
    weights: ModifiedWeights,
    weight: nn.Parameter,
    name: Hashable,
    modify: Callable[[Tensor], Tensor],
) -> None:
    first, other = weights.make(weight, "positive", positive), weights.make(weight, name, modify)
    assert torch.equal(first, positive(VALUES))
    assert torch.equal(other, modify(VALUES))


def test_another_weight_of_the_same_values_is_another_tensor(
    weights: ModifiedWeights, weight: nn.Parameter
) -> None:
    equal = nn.Parameter(weight.detach().clone())
    first = weights.make(weight, "positive", positive)
    assert weights.make(equal, "positive", positive) is not first


def test_a_weight_and_its_first_row_are_two(weights: ModifiedWeights, weight: nn.Parameter) -> None:
    first = weights.make(weight, "positive", positive)
    row = weights.make(weight.detach()[0], "positive", positive)
    assert (first.shape, row.shape) == ((2, 2), (2,))


def test_networks_do_not_share(weight: nn.Parameter) -> None:
    one, other = (ModifiedWeights().make(weight, "positive", positive) for _ in range(2))
    assert one is not other


def test_what_nobody_holds_is_freed_and_made_anew(
    weights: ModifiedWeights, weight: nn.Parameter
) -> None:
    held = [weights.make(weight, "positive", positive) for _ in range(2)]
    gone = weakref.ref(held[0])
    held.pop()
    gc.collect()
    assert gone() is held[0]
    held.clear()
    gc.collect()
    assert gone() is None
    assert torch.equal(weights.make(weight, "positive", positive), positive(VALUES))


def test_a_parameter_is_untouched_and_needs_no_gradient_for_it(
    weights: ModifiedWeights, weight: nn.Parameter
) -> None:
    made = weights.make(weight, "positive", positive)
    made.add_(1.0)
    assert torch.equal(weight.detach(), VALUES)
    assert weight.requires_grad
    assert weight.grad is None
    assert not made.requires_grad


def small_explainer() -> Explainer:
    torch.manual_seed(0)
    layers = (nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3))
    return Explainer(nn.Sequential(*layers))


def made_by(explainer: Explainer) -> list[weakref.ref[Tensor]]:
    return [weakref.ref(tensor) for tensor in explainer._weights._made.values()]


def test_twins_of_a_network_share_and_the_last_one_takes_them_along() -> None:
    explainer = small_explainer()
    explainer.prepare(make_method("epsilon_plus", "gradient", {}))
    made = made_by(explainer)
    explainer.prepare(make_method("epsilon_plus", "gradient", {}, layer="0"))
    assert made
    assert {id(ref()) for ref in made_by(explainer)} == {id(ref()) for ref in made}
    explainer._prepared.popitem(last=False)
    gc.collect()
    assert all(ref() is not None for ref in made)
    explainer._prepared.clear()
    explainer.prepare(make_method("none", "gradient", {}))
    gc.collect()
    assert all(ref() is None for ref in made)


def test_a_twin_that_is_dropped_is_freed_though_no_other_takes_its_place() -> None:
    explainer = small_explainer()
    explainer.prepare(make_method("epsilon_plus", "gradient", {}))
    made = made_by(explainer)
    assert made
    explainer._prepared.clear()
    gc.collect()
    assert all(ref() is None for ref in made)


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Circles are left where they are, as between two collections."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("uncollected")
def test_a_twin_that_is_dropped_is_freed_at_once() -> None:
    explainer = small_explainer()
    explainer.prepare(make_method("epsilon_plus", "gradient", {}))
    made = made_by(explainer)
    explainer._prepared.clear()
    assert made
    assert all(ref() is None for ref in made)
