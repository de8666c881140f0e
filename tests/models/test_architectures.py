"""The architectures, as they are written down."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision.models import resnet18

from service.errors import BundleError
from service.models.architectures import (
    ARCHITECTURES,
    MiniVGG,
    build,
    build_empty,
)
from service.models.builtin import LAST_LAYERS, TORCHVISION

FEATURES = [
    "Conv2d(3, 32, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))",
    "ReLU(inplace=True)",
    "Dropout(p=0.35, inplace=False)",
    "Conv2d(32, 64, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))",
    "ReLU(inplace=True)",
    "MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)",
    "Conv2d(64, 128, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))",
    "ReLU(inplace=True)",
    "Dropout(p=0.35, inplace=False)",
    "Conv2d(128, 128, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))",
    "ReLU(inplace=True)",
    "MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)",
]
CLASSIFIER = [
    "Flatten(start_dim=1, end_dim=-1)",
    "Linear(in_features=8192, out_features=256, bias=True)",
    "ReLU(inplace=True)",
    "Dropout(p=0.45, inplace=False)",
    "Linear(in_features=256, out_features=64, bias=True)",
    "ReLU(inplace=True)",
    "Dropout(p=0.5, inplace=False)",
    "Linear(in_features=64, out_features=10, bias=True)",
]
PARAMETERS = [
    f"{layer}.{kind}"
    for layer in (
        *(f"features.{n}" for n in (0, 3, 6, 9)),
        *(f"classifier.{n}" for n in (1, 4, 7)),
    )
    for kind in ("weight", "bias")
]


def test_minivgg_has_these_layers() -> None:
    model = MiniVGG()
    assert [str(layer) for layer in model.features] == FEATURES
    assert [str(layer) for layer in model.classifier] == CLASSIFIER


def test_minivgg_has_the_parameter_names_of_the_tutorials_checkpoints() -> None:
    assert list(MiniVGG().state_dict()) == PARAMETERS


def test_logits_have_one_column_for_each_class() -> None:
    assert MiniVGG(num_classes=7)(torch.zeros(2, 3, 32, 32)).shape == (2, 7)


@pytest.mark.parametrize(
    "name", ["minivgg", "resnet18", "resnet18-32"]
)  # the others take their time
def test_an_architecture_can_be_built_with_and_without_storage(name: str) -> None:
    full, empty = build(name, 4), build_empty(name, 4)
    assert isinstance(full, nn.Module)
    shapes = {key: tensor.shape for key, tensor in full.state_dict().items()}
    assert {key: tensor.shape for key, tensor in empty.state_dict().items()} == shapes
    assert all(tensor.is_meta for tensor in empty.state_dict().values())


def test_an_unknown_architecture_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(BundleError, match="minivgg"):
        build("alexnet-of-mine", 10)


# torchvision's


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvisions_networks_give_one_logit_for_each_class(name: str) -> None:
    empty = build_empty(name, 4).eval()
    assert empty(torch.zeros(2, 3, 64, 64, device="meta")).shape == (2, 4)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_state_dict_holds_every_tensor_of_an_architecture(name: str) -> None:
    # what is not in it would stay without storage after a bundle was read
    model = build_empty(name, 4)
    named = {key for key, _ in (*model.named_parameters(), *model.named_buffers())}
    assert named == set(model.state_dict())
    assert not [
        value
        for module in model.modules()
        for value in vars(module).values()
        if isinstance(value, torch.Tensor)
    ]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_last_layer_has_a_row_for_each_class(name: str) -> None:
    layer = build_empty(name, 4).get_submodule(LAST_LAYERS[name])
    assert isinstance(layer, nn.Linear)
    assert layer.out_features == 4


def test_the_list_of_torchvisions_networks_is_as_promised() -> None:
    vggs = {f"vgg{depth}{norm}" for depth in (11, 13, 16, 19) for norm in ("", "_bn")}
    resnets = {f"resnet{depth}" for depth in (18, 34, 50, 101, 152)}
    assert set(TORCHVISION) == {"alexnet"} | vggs | resnets
    assert set(ARCHITECTURES) == {"minivgg", "resnet18-32", *TORCHVISION}


def test_resnet18_for_32x32_is_torchvisions_with_another_stem() -> None:
    torch.manual_seed(0)
    own, reference = build("resnet18-32", 4).eval(), resnet18(num_classes=4).eval()
    reference.conv1 = nn.Conv2d(3, 64, kernel_size=3, stride=1, padding=1, bias=False)
    reference.maxpool = nn.Sequential()
    assert list(own.state_dict()) == list(reference.state_dict())
    reference.load_state_dict(own.state_dict())
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(own(images), reference(images))
    # the resolution at each stage, as is usual on CIFAR-10
    sides = []
    for name in ("layer1", "layer2", "layer3", "layer4"):
        own.get_submodule(name).register_forward_hook(
            lambda _, __, output: sides.append(output.shape[-1])
        )
    own(images)
    assert sides == [32, 16, 8, 4]


# The user's own code

OWN_CODE = """
import torch
from torch import nn

class Offset(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.linear = nn.Linear(3, num_classes)
        self.register_buffer("offset", torch.full((1,), 2.0), persistent=False)
        self.scale = float(self.offset.sum())  # cannot be done on meta

    def forward(self, images):
        return self.scale * self.linear(images.mean((2, 3))) + self.offset

class Extra(Offset):
    def get_extra_state(self):
        return {"version": 1}

def half(num_classes):
    return Offset(num_classes).half()

def lazy(num_classes):
    return nn.LazyLinear(num_classes)

def no_argument():
    return nn.Identity()

def two_arguments(num_classes, width):
    return nn.Identity()

def no_module(num_classes):
    return num_classes

def raises(num_classes):
    raise ValueError("first line\\nsecond line")

def leaves(num_classes):
    raise SystemExit(3)

number = 5
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of the user's, new in each test."""
    name = f"own_{next(NUMBERS)}"
    (tmp_path / f"{name}.py").write_text(OWN_CODE)
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


NUMBERS = itertools.count()


@pytest.mark.parametrize("make", [build, build_empty])
def test_code_of_the_users_own_is_built_for_real(own: str, make: Callable[..., nn.Module]) -> None:
    model = make(f"{own}:Offset", 4, [own])
    assert model(torch.zeros(2, 3, 8, 8)).shape == (2, 4)
    assert model.get_buffer("offset").tolist() == [2.0]


def test_own_networks_in_another_type_become_float32(own: str) -> None:
    model = build(f"{own}:half", 4, [own])
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


@pytest.mark.parametrize("make", [build, build_empty])
def test_own_code_is_not_even_imported_unless_it_is_allowed(
    own: str, make: Callable[..., nn.Module]
) -> None:
    with pytest.raises(BundleError, match=f"set LRPSERVE_ARCHITECTURES=other,{own}$"):
        make(f"{own}:Offset", 4, ["other"])
    assert own not in sys.modules


@pytest.mark.parametrize("module", ["own", "own.nets.deep", "ow"])
def test_a_module_is_allowed_by_its_whole_name(module: str) -> None:
    with pytest.raises(BundleError, match="not allowed"):
        build(f"{module}:net", 4, ["own.nets"])


@pytest.mark.parametrize("name", [":", "a:", ":b", "a:b:c", "a:b.c", "a b:c", ".a:b", "a.:b"])
def test_what_is_no_module_and_factory_says_how_to_write_it(name: str) -> None:
    with pytest.raises(BundleError, match="write module:factory"):
        build(name, 4, [name.partition(":")[0]])


@pytest.mark.parametrize(
    ("factory", "said"),
    [
        ("absent", "has no 'absent'"),
        ("no_argument", "called with 4 as its only argument, raised TypeError"),
        ("two_arguments", "raised TypeError: .*width"),
        ("number", "raised TypeError"),
        ("raises", "raised ValueError: first line$"),
        ("leaves", "raised SystemExit: 3"),
        ("no_module", r"has to return a torch\.nn\.Module, not a int"),
        ("lazy", "has lazy layers"),
        ("Extra", "may hold tensors only, but _extra_state"),
    ],
)
def test_a_factory_that_makes_no_network_is_one_sentence(own: str, factory: str, said: str) -> None:
    with pytest.raises(BundleError, match=said) as refused:
        build(f"{own}:{factory}", 4, [own])
    assert "\n" not in refused.value.detail


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import no_such_module_at_all", "ModuleNotFoundError"),
        ("def (", "SyntaxError"),
        ("1 / 0", "ZeroDivisionError"),
        ("raise SystemExit", r"\(SystemExit\)"),
        ("None.x", "AttributeError"),
    ],
)
def test_a_module_that_cannot_be_imported_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, said: str
) -> None:
    name = f"own_{next(NUMBERS)}"
    (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(BundleError, match=f"cannot be imported.*{said}.*PYTHONPATH") as refused:
        build(f"{name}:net", 4, [name])
    assert "\n" not in refused.value.detail


def test_a_module_that_is_not_there_says_where_to_put_it() -> None:
    with pytest.raises(BundleError, match="put its folder into PYTHONPATH"):
        build("nowhere_at_all:net", 4, ["nowhere_at_all"])
