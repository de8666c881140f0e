"""A resident network: its layers, where relevance is counted, and what stands in the way."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from service.errors import OptionError
from service.lrp.network.network import Network, kind_of, names_of
from service.methods import INPUT
from tests.lrp.network.test_analysis import is_reached_without
from tests.lrp.networks import SIDES, architecture, make_images


def resident(name: str) -> Network:
    return Network(architecture(name).float())


@pytest.fixture(scope="module")
def vgg() -> Network:
    return resident("minivgg")


@pytest.fixture(scope="module")
def residual() -> Network:
    return resident("resnet18")


def test_layers_are_in_the_order_of_computation_and_named_per_use(residual: Network) -> None:
    names = list(residual.layers)
    assert names[:4] == ["conv1", "relu", "maxpool", "layer1.0.conv1"]
    assert names[-2:] == ["avgpool", "fc"]
    assert {"layer1.0.relu", "layer1.0.relu#2", "layer1.0.sum"} <= set(names)


def test_what_only_hands_values_on_is_no_layer(vgg: Network) -> None:
    kinds = {type(vgg.module.get_submodule(name)) for name in vgg.layers}
    assert not kinds & {nn.Flatten, nn.Dropout, nn.Identity}


@pytest.mark.parametrize("name", SIDES)
def test_layers_are_described_from_the_output_to_the_input(name: str) -> None:
    network, images = resident(name), make_images(2, SIDES[name], torch.float32)
    described = network.describe_layers(images)
    assert [layer.name for layer in described] == [*reversed(network.layers), INPUT]
    assert described[0].shape == network.module(images).shape[1:]
    assert described[-1] == type(described[-1])(INPUT, "Image", tuple(images.shape[1:]))
    values: dict[str, tuple[int, ...]] = {}
    for layer in network.layers:
        module = network.module.get_submodule(layer)
        module.register_forward_hook(
            lambda _module, _inputs, output, layer=layer: values.update({layer: output.shape[1:]})
        )
    network.module(images)
    assert {layer.name: layer.shape for layer in described[:-1]} == values


def test_a_kind_is_the_class_that_the_author_wrote(vgg: Network) -> None:
    images = make_images(1, 32, torch.float32)
    kinds = {layer.kind for layer in vgg.describe_layers(images)}
    assert kinds == {"Image", "Conv2d", "ReLU", "MaxPool2d", "Linear"}
    assert kind_of(nn.Conv1d(1, 1, 1)) == "Conv1d"


@pytest.mark.parametrize("name", SIDES)
def test_relevance_is_counted_where_all_paths_cross(name: str) -> None:
    network = resident(name)
    recorded_layers = network.recorded_layers(INPUT)
    positions = [list(node.graph.nodes).index(node) for node in recorded_layers]
    assert positions == sorted(positions, reverse=True)
    assert not any(is_reached_without(node.graph, node) for node in recorded_layers)
    assert recorded_layers[0].target == list(network.layers)[-1]  # the logits
    kinds = [type(network.module.get_submodule(layer)) for layer in names_of(recorded_layers)]
    assert nn.ReLU not in kinds  # it hands on what comes


def test_relevance_of_a_layer_is_counted_from_the_output_to_it(residual: Network) -> None:
    inside, crossed = (
        residual.recorded_layers("layer4.0.conv1"),
        residual.recorded_layers("layer4.0.sum"),
    )
    assert names_of(inside)[-1] == "layer4.0.conv1"
    assert names_of(inside)[:2] == ("fc", "avgpool")
    assert names_of(crossed)[-1] == "layer4.0.sum"
    assert names_of(crossed).count("layer4.0.sum") == 1
    assert set(names_of(inside)[:-1]) == set(names_of(crossed))


def test_the_logits_are_counted_even_where_an_activation_gives_them() -> None:
    network = Network(nn.Sequential(nn.Flatten(), nn.Linear(12, 3), nn.ReLU(), nn.Linear(3, 2)))
    assert names_of(network.recorded_layers(INPUT)) == ("3", "1")
    network = Network(nn.Sequential(nn.Flatten(), nn.Linear(12, 2), nn.ReLU()))
    assert names_of(network.recorded_layers(INPUT)) == ("2", "1")


def test_a_layer_that_is_not_there_is_refused_with_some_that_are(residual: Network) -> None:
    some = ", ".join([INPUT, *list(residual.layers)[:19]])
    with pytest.raises(OptionError) as refused:
        residual.recorded_layers("conv7")
    assert refused.value.detail.endswith(f"must be one of: {some}, ...")
    with pytest.raises(OptionError) as refused:
        Network(nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU(), nn.Flatten())).recorded_layers("2")
    assert refused.value.detail.endswith("must be one of: input, 0, 1")


class Deciding(nn.Module):
    """What it does depends on what it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 3, 3), nn.Linear(3, 3)

    def forward(self, images: Tensor) -> Tensor:
        """Compute logits."""
        x = self.conv(images)
        logits: Tensor = self.head(x.mean((2, 3))) if x.sum() > 0 else x.mean((2, 3))
        return logits


@pytest.mark.parametrize("is_traced", [True, False])
def test_a_network_without_a_graph_has_no_layers_and_says_why(is_traced: bool) -> None:
    model = Deciding()
    network = Network(model, is_traced=is_traced)
    assert network.graph is None
    assert network.layers == {}
    assert network.recorded_layers(INPUT) == []
    why = "control flow" if is_traced else "its graph does not compute what it does"
    assert why in network.why_untraceable
    images = make_images(2, 8, torch.float32)
    assert [layer.name for layer in network.describe_layers(images)] == [INPUT]
    assert torch.equal(network.module(images), model(images))
    assert not any(p.requires_grad for p in network.module.parameters())
    assert not any(module.training for module in network.module.modules())
