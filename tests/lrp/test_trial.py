"""How a network is run: as plain torch computes it, whatever its code needs; or it is refused."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from service.errors import BundleError
from service.lrp.explainer import Explainer
from service.lrp.selftest import BATCH_LIMIT, batch_difference, check, difference
from service.lrp.trial import check_batches, make_explainer
from service.methods import Method
from service.models.architectures import ARCHITECTURES, build
from tests.lrp.batch_networks import (
    INSTANCE_NORMS,
    MIXING,
    RANDOM,
    SIDE,
    STRIDED,
    VIEWS,
    Branching,
    Flattening,
    Viewing,
    normed,
    seeded,
)
from tests.lrp.networks import SIDES, box, make_images, settle

IMAGES = make_images(2, SIDE, torch.float32)
LAST = IMAGES.contiguous(memory_format=torch.channels_last)
METHOD = Method()


def explainer_of(model: nn.Module, images: Tensor = LAST) -> Explainer:
    return make_explainer("mine", model, box(torch.float32), images)


def assert_answers_as_plain_torch(model: nn.Module) -> Explainer:
    """Logits equal plain torch's, and relevance zennit's, of one image and of two."""
    with torch.no_grad():
        expected = copy.deepcopy(model)(IMAGES)
    explainer = explainer_of(model)
    for images, logits in ((LAST, expected), (LAST[:1], expected[:1])):
        assert difference(explainer.predict(images), logits) <= 1e-5
        assert check(explainer, images, METHOD).passed
    check_batches("mine", explainer, LAST, METHOD)
    return explainer


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_a_view_of_a_convolution_works_with_channels_last(
    view: Callable[[Tensor], Tensor],
) -> None:
    explainer = assert_answers_as_plain_torch(seeded(partial(Flattening, view)))
    is_traced = view is not VIEWS["torch.Tensor.view"]  # torch cannot trace that
    assert explainer.network.is_channels_last == is_traced
    assert explainer.prepare(METHOD).engine == ("twin" if is_traced else "zennit")
    flattened = explainer_of(seeded(partial(Flattening, lambda x: x.flatten(1))))
    assert difference(explainer.predict(LAST), flattened.predict(LAST)) <= 1e-5


@pytest.mark.parametrize("step", STRIDED.values(), ids=STRIDED)
def test_code_that_needs_contiguous_tensors_gets_them(step: Callable[[Tensor], Tensor]) -> None:
    explainer = assert_answers_as_plain_torch(seeded(partial(Flattening, step)))
    assert not explainer.network.is_channels_last
    assert explainer.network.graph is not None


def test_a_view_in_a_layer_that_is_kept_whole_gets_contiguous_tensors() -> None:
    model = normed(nn.ReLU())
    model.set_submodule("3", Viewing(4, 4, 3))
    torch.manual_seed(0)
    explainer = assert_answers_as_plain_torch(settle(model))
    assert not explainer.network.is_channels_last


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_a_network_that_cannot_be_traced_gets_contiguous_tensors(
    view: Callable[[Tensor], Tensor],
) -> None:
    explainer = assert_answers_as_plain_torch(seeded(partial(Branching, view)))
    assert explainer.network.graph is None


def test_a_view_that_plain_torch_refuses_too_fails_with_torchs_message() -> None:
    model = seeded(partial(Flattening, lambda x: x.permute(0, 2, 3, 1).view(x.size(0), -1)))
    with pytest.raises(RuntimeError, match="view size is not compatible"):
        explainer_of(model)


@pytest.mark.parametrize("make", INSTANCE_NORMS.values(), ids=INSTANCE_NORMS)
def test_norms_of_an_image_are_explained_alone_and_in_a_batch(
    make: Callable[[], nn.Module],
) -> None:
    explainer = assert_answers_as_plain_torch(seeded(lambda: normed(make())))
    assert explainer.network.is_channels_last
    double = explainer.to_double()
    for images in (LAST.double(), LAST[:1].double()):
        assert check(double, images, METHOD).passed


def test_torchs_gradient_of_instance_norm_is_wrong_for_one_image_with_channels_last() -> None:
    """Fails when torch has mended it: then `ContiguousGradient` can go."""
    x, norm = make_images(1, SIDE, torch.float64).requires_grad_(), nn.InstanceNorm2d(3)
    gradient = make_images(1, SIDE, torch.float64, seed=1)
    last = gradient.contiguous(memory_format=torch.channels_last)
    (right,), (wrong,) = (torch.autograd.grad(norm(x), x, g) for g in (gradient, last))
    assert torch.equal(gradient, last)
    assert not torch.allclose(right, wrong)


@pytest.mark.parametrize("make", MIXING.values(), ids=MIXING)
def test_a_network_whose_answers_depend_on_the_batch_is_refused(
    make: Callable[[], nn.Module],
) -> None:
    with pytest.raises(BundleError, match=r"mine depend on the other images of a batch: .* differ"):
        explainer_of(seeded(make))


@pytest.mark.parametrize("make", RANDOM.values(), ids=RANDOM)
def test_a_network_that_answers_at_random_is_refused_as_such(
    make: Callable[[], nn.Module],
) -> None:
    with pytest.raises(BundleError, match="model mine answers at random: asked twice"):
        explainer_of(seeded(make))


def test_a_network_whose_logits_are_not_finite_is_refused_as_such() -> None:
    model = seeded(lambda: normed(nn.ReLU()))
    model.get_parameter("0.bias").fill_(float("nan"))
    with pytest.raises(BundleError, match="logits that are not finite"):
        explainer_of(model)


class _MixedGradient(torch.autograd.Function):
    """The identity, whose gradient is mixed over the batch."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:
        return gradient + gradient.mean(0)


class MixedGradient(nn.Module):
    """Mixes relevance over the batch, but no values; cannot be traced."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the input."""
        mixed: Tensor = _MixedGradient.apply(x if x.sum() < 1e9 else -x)  # no graph
        return mixed


def test_relevance_that_depends_on_the_batch_is_refused() -> None:
    explainer = explainer_of(seeded(lambda: normed(MixedGradient())))
    with pytest.raises(BundleError, match="an image's relevance alone and in a batch of 2"):
        check_batches("mine", explainer, LAST, METHOD)


class Rounding(nn.Module):
    """Rounds in another way for each batch size, but not in float64; cannot be traced."""

    def forward(self, x: Tensor) -> Tensor:
        """Change the input by less than a thousandth."""
        return x * (1 + 1e-4 * len(x)) if x.dtype == torch.float32 else x


def test_rounding_that_depends_on_the_batch_is_no_reason_to_refuse() -> None:
    explainer = explainer_of(seeded(lambda: normed(Rounding())))
    logits = explainer.predict(LAST)
    assert difference(logits[:1], explainer.predict(LAST[:1])) > BATCH_LIMIT
    assert batch_difference(explainer, LAST, None) <= BATCH_LIMIT
    check_batches("mine", explainer, LAST, METHOD)


class SinglePrecision(nn.Module):
    """Takes float32 only."""

    def forward(self, x: Tensor) -> Tensor:
        """Compare each image with the mean of the batch."""
        return (
            x
            - torch.bmm(x.flatten(2), torch.ones(len(x), x[0, 0].numel(), 1))
            .mean((0, 2))[None, None, None]
            .mean()
        )


def test_a_network_that_takes_float32_only_is_refused_by_that() -> None:
    with pytest.raises(BundleError, match="logits alone and in a batch"):
        explainer_of(seeded(lambda: normed(SinglePrecision())))


@pytest.mark.parametrize("name", [name for name in SIDES if name in ARCHITECTURES])
def test_known_architectures_are_not_refused(name: str) -> None:
    torch.manual_seed(0)
    images = make_images(2, SIDES[name], torch.float32)
    explainer = explainer_of(settle(build(name, 5)), images)
    assert explainer.network.is_channels_last
    check_batches(name, explainer, images, METHOD)
