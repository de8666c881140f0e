"""Sanity checks: a map of the network changes with its weights, an edge detector does not."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor, nn

from service.evidence.baselines import edge_maps
from service.evidence.randomization import (
    layer_names,
    randomization_check,
    randomized_networks,
    reset_layer,
    shuffle_layer,
)
from service.evidence.similarity import compare
from tests.evidence.linear_model import bright_images

IMAGES = bright_images(3, 2, 8, 8)


class Scaled(nn.Module):
    """A layer that cannot reset its parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.factors = nn.Parameter(torch.arange(1.0, 65.0).view(1, 1, 8, 8))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factors


@pytest.fixture
def network() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            Scaled(), nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(),
            nn.Linear(144, 5),
        ).eval()  # fmt: skip


def input_times_gradient(network: nn.Module) -> Tensor:
    images = IMAGES.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(network(images)[:, 0].sum(), images)
    return (gradient * images).sum(1).detach()


def changed(before: nn.Module, after: nn.Module) -> set[str]:
    pairs = zip(before.named_parameters(), after.parameters(), strict=True)
    return {name.split(".")[0] for (name, old), new in pairs if not torch.equal(old, new)}


def test_layers_are_randomized_from_the_top_and_stay_so(network: nn.Sequential) -> None:
    found = [(name, changed(network, one)) for name, one in randomized_networks(network)]
    # batch normalization is new as it was: its initial values are constants
    assert found == [("5", {"5"}), ("2", {"5"}), ("1", {"5", "1"}), ("0", {"5", "1", "0"})]


def test_layers_are_named_from_the_top(network: nn.Sequential) -> None:
    assert layer_names(network) == ["5", "2", "1", "0"]
    assert [name for name, _ in randomized_networks(network)] == layer_names(network)


def test_layers_are_randomized_one_at_a_time(network: nn.Sequential) -> None:
    found = [changed(network, one) for _, one in randomized_networks(network, is_cascading=False)]
    assert found == [{"5"}, set(), {"1"}, {"0"}]


def test_the_seed_gives_the_same_networks_and_touches_no_global_state(
    network: nn.Sequential,
) -> None:
    before = torch.get_rng_state()
    first, again, other = (
        [one.state_dict() for _, one in randomized_networks(network, seed)] for seed in (1, 1, 9)
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[-1][name], again[-1][name]) for name in first[-1])
    assert not torch.equal(first[-1]["5.weight"], other[-1]["5.weight"])
    assert not torch.equal(first[-1]["1.weight"], first[0]["1.weight"])


def test_batch_normalization_forgets_its_statistics(network: nn.Sequential) -> None:
    norm = network[2]
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    norm.running_mean += 3
    reset_layer(norm, 0)
    assert norm.running_mean.tolist() == [0] * 4


def test_shuffling_keeps_the_values(network: nn.Sequential) -> None:
    layer = network[5]
    assert isinstance(layer, nn.Linear)
    before = layer.weight.detach().clone()
    shuffle_layer(layer, 0)
    after = layer.weight.detach()
    assert not torch.equal(before, after)
    assert torch.equal(before.flatten().sort().values, after.flatten().sort().values)


def test_a_map_of_the_network_changes_and_one_of_the_image_does_not(
    network: nn.Sequential,
) -> None:
    of_network = randomization_check(network, input_times_gradient)
    of_image = randomization_check(network, lambda _: edge_maps(IMAGES))
    assert [one.layer for one in of_network] == ["5", "2", "1", "0"]
    for one in of_image:
        assert one.similarity.rank.tolist() == one.similarity.structural.tolist() == [1, 1, 1]
    assert float(of_network[-1].similarity.rank.abs().mean()) < 0.5
    assert float(of_network[-1].similarity.structural.mean()) < 0.5


def test_the_check_compares_with_the_trained_network(network: nn.Sequential) -> None:
    found = randomization_check(network, input_times_gradient, randomize=partial(shuffle_layer))
    copies = [one for _, one in randomized_networks(network, randomize=shuffle_layer)]
    wanted = compare(input_times_gradient(copies[1]), input_times_gradient(network))
    assert torch.equal(found[1].similarity.rank, wanted.rank)
