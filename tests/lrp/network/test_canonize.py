"""Canonizing changes the form of a network and not what it computes."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from torch import Tensor, nn
from torch.nn import functional

from service.lrp.network.canonize import UntraceableError, canonize, difference, share
from service.lrp.network.layers import BatchNorm, Sum
from service.models.architectures import build
from tests.lrp.networks import SIDES, architecture, make_images, random_networks, settle

RESIDUAL = ("resnet18", "resnet50")


def names_of(network: nn.Module, kind: type[nn.Module]) -> list[str]:
    return [name for name, module in network.named_modules() if isinstance(module, kind)]


@pytest.mark.parametrize("name", SIDES)
def test_outputs_stay_the_same(name: str) -> None:
    model = architecture(name)
    images = make_images(2, SIDES[name], torch.float64)
    assert difference(model, canonize(model), images) <= 1e-9


@pytest.mark.filterwarnings("ignore:Using padding=.same. with even kernel lengths")
@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(network=random_networks())
def test_outputs_of_any_small_network_stay_the_same(network: nn.Module) -> None:
    images = make_images(2, 20, torch.float64)
    assert difference(network, canonize(network), images) <= 1e-9


@pytest.mark.parametrize("name", ["vgg11_bn", *RESIDUAL])
def test_batch_norm_is_merged(name: str) -> None:
    assert names_of(architecture(name), BatchNorm)
    assert names_of(canonize(architecture(name)), BatchNorm) == []


@pytest.mark.parametrize(("name", "n_sums"), [("resnet18", 8), ("resnet50", 16)])
def test_residual_sums_are_modules_named_after_their_block(name: str, n_sums: int) -> None:
    sums = names_of(canonize(architecture(name)), Sum)
    assert len(sums) == n_sums
    assert sums[0] == "layer1.0.sum"


@pytest.mark.parametrize("name", RESIDUAL)
def test_each_use_of_a_module_is_a_module_of_its_own(name: str) -> None:
    network = canonize(architecture(name))
    targets = [node.target for node in network.graph.nodes if node.op == "call_module"]
    assert len(set(targets)) == len(targets)
    assert {"layer1.0.relu", "layer1.0.relu#2"} <= set(targets)


@pytest.mark.parametrize("name", SIDES)
def test_the_network_itself_stays_as_it_is(name: str) -> None:
    model = architecture(name)
    before = copy.deepcopy(model.state_dict())
    modules = [type(module) for module in model.modules()]
    in_place = [getattr(module, "inplace", None) for module in model.modules()]
    canonize(model)
    assert [type(module) for module in model.modules()] == modules
    assert [getattr(module, "inplace", None) for module in model.modules()] == in_place
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_weights_are_shared_where_nothing_is_merged() -> None:
    model = architecture("alexnet")
    places = {p.data_ptr() for p in model.parameters()}
    assert {p.data_ptr() for p in canonize(model).parameters()} == places


class Functions(nn.Module):
    """Everything that becomes a module, as functions, methods and operators."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3)
        self.again = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Compute logits."""
        x = self.norm(self.conv(x))
        x = functional.relu(x, inplace=True) + torch.relu(self.conv(x))
        x = torch.add(x, functional.avg_pool2d(x, 3, stride=1, padding=1))
        x += x.relu()
        x = functional.adaptive_avg_pool2d(x, 1).flatten(1)
        x = self.again(x).relu_()
        logits: Tensor = self.again(x) + 1.5
        return logits


@pytest.fixture
def functions() -> nn.Module:
    torch.manual_seed(0)
    return settle(Functions()).double()


def test_functions_become_modules(functions: nn.Module) -> None:
    network = canonize(functions)
    assert difference(functions, network, make_images(2, 9, torch.float64)) <= 1e-9
    assert names_of(network, nn.ReLU) == ["relu", "relu#2", "relu#3", "relu#4"]
    assert names_of(network, Sum) == ["sum", "sum#2", "sum#3"]
    assert names_of(network, nn.AvgPool2d) == ["avg_pool"]
    assert names_of(network, nn.AdaptiveAvgPool2d) == ["avg_pool#2"]


def test_a_module_used_twice_is_two_modules_with_one_weight(functions: nn.Module) -> None:
    network = canonize(functions)
    one, other = network.get_submodule("again"), network.get_submodule("again#2")
    assert one is not other
    assert one.weight is other.weight


def test_a_convolution_with_another_use_keeps_its_own_weight(functions: nn.Module) -> None:
    weight = functions.get_parameter("conv.weight").clone()
    network = canonize(functions)
    assert names_of(network, BatchNorm) == []
    assert torch.equal(network.get_parameter("conv#2.weight"), weight)
    assert not torch.equal(network.get_parameter("conv.weight"), weight)


def test_batch_norm_stays_where_nothing_comes_before_it_or_the_output_is_used_twice() -> None:
    class Before(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.conv = nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3)
            self.second = nn.BatchNorm2d(4)

        def forward(self, x: Tensor) -> Tensor:
            x = self.conv(self.first(x))
            logits: Tensor = (self.second(x) + x).mean((2, 3))
            return logits

    model = settle(Before()).double()
    network = canonize(model)
    assert names_of(network, BatchNorm) == ["first", "second"]
    assert difference(model, network, make_images(2, 9, torch.float64)) <= 1e-9


@pytest.mark.parametrize("kind", [nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.Linear])
def test_batch_norm_is_merged_into_every_kind_of_layer(kind: type[nn.Module]) -> None:
    torch.manual_seed(0)
    n_dims = {nn.Conv1d: 1, nn.Conv3d: 3, nn.Linear: 0}.get(kind, 2)
    norm = {0: nn.BatchNorm1d, 1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}[n_dims]
    layer = kind(3, 4) if n_dims == 0 else kind(3, 4, 2)
    model = settle(nn.Sequential(layer, norm(4), nn.Flatten())).double()
    network = canonize(model)
    assert names_of(network, BatchNorm) == []
    inputs = torch.randn(2, 3, *[4] * n_dims, dtype=torch.float64)
    assert difference(model, network, inputs) <= 1e-9


def test_in_training_mode_dropout_would_be_explained_too() -> None:
    network = canonize(build("minivgg", 10).train())
    assert not any(module.training for module in network.modules())


class Deciding(nn.Module):
    """What it does depends on what it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Compute logits."""
        x = x.mean((2, 3))
        return self.linear(x) if x.sum() > 0 else x


class TwoOutputs(nn.Module):
    """Returns more than logits."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Compute logits, and something else."""
        return x, x


@pytest.mark.parametrize("model", [Deciding(), TwoOutputs()], ids=["deciding", "two outputs"])
def test_a_network_without_a_fixed_graph_is_refused(model: nn.Module) -> None:
    with pytest.raises(UntraceableError):
        canonize(model)


def test_a_shared_copy_has_modules_of_its_own_and_the_same_parameters() -> None:
    model = architecture("alexnet")
    copied = share(model)
    pairs = zip(model.modules(), copied.modules(), strict=True)
    assert all(one is not other for one, other in pairs)
    assert all(
        one is other for one, other in zip(model.parameters(), copied.parameters(), strict=True)
    )
