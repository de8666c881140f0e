"""Gradients by parts of a batch equal those of the whole batch."""

from __future__ import annotations

import threading

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from training.optim import ForEach, Muon
from training.replicas import Replicas, count_replicas

CPU = torch.device("cpu")


def make_model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(64, 5)).double()


def make_batch(n: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(n)
    images = torch.randn(n, 3, 6, 6, generator=generator, dtype=torch.float64)
    return images, torch.randint(0, 5, (n,), generator=generator)


def loss_of(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    return functional.cross_entropy(model(images), labels, label_smoothing=0.1)


@pytest.mark.parametrize("n_images", [8, 7])
@pytest.mark.parametrize("n_replicas", [1, 2, 3])
def test_loss_and_gradients_are_those_of_the_whole_batch(n_replicas: int, n_images: int) -> None:
    images, labels = make_batch(n_images)
    expected, model = make_model(), make_model()
    expected_loss = loss_of(expected, images, labels)
    expected_loss.backward()
    replicas = Replicas(model, n_replicas)
    replicas.backward(loss_of, images, labels)
    # gradients of a step are not added to those of the one before
    loss = replicas.backward(loss_of, images, labels)
    torch.testing.assert_close(loss, expected_loss.detach())
    for own, whole in zip(model.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(own.grad, whole.grad)


def test_replicas_follow_the_weights() -> None:
    model = make_model()
    replicas = Replicas(model, 2)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(1.0)
    images, _ = make_batch(4)
    first, second = (replica(images) for replica in replicas.models)
    assert torch.equal(first, second)


def test_parts_are_computed_in_threads_of_their_own_on_their_own_cores() -> None:
    before = torch.get_num_threads()
    seen: list[tuple[str, int]] = []

    def keep(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        barrier.wait()  # so that no thread takes both parts
        seen.append((threading.current_thread().name, torch.get_num_threads()))
        return loss_of(model, images, labels)

    barrier = threading.Barrier(2, timeout=30)
    try:
        torch.set_num_threads(4)
        replicas = Replicas(make_model(), 2)
        replicas.backward(keep, *make_batch(4))
        with replicas.own_threads():
            assert torch.get_num_threads() == 2
        assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(before)
    assert {n for _, n in seen} == {2}
    assert {name.split("_")[0] for name, _ in seen} == {"replica"}
    assert len({name for name, _ in seen}) == 2


def test_small_batches_and_other_devices_have_one_replica() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(4)
        counts = [count_replicas(CPU, batch_size) for batch_size in (8, 64, 128, 1024)]
    finally:
        torch.set_num_threads(before)
    assert counts == [1, 2, 4, 4]
    assert count_replicas(torch.device("cuda:0"), 1024) == 1


def test_muon_in_several_threads_is_muon() -> None:
    models = [make_model().float() for _ in range(2)]
    replicas = Replicas(models[1], 2)
    ways: tuple[ForEach, ForEach] = (map, replicas.map)
    for model, for_each in zip(models, ways, strict=True):
        weights = [weight for weight in model.parameters() if weight.ndim > 1]
        optimizer = Muon(weights, lr=0.1, weight_decay=0.01, for_each=for_each)
        for step in range(3):
            for number, weight in enumerate(weights):
                generator = torch.Generator().manual_seed(10 * step + number)
                weight.grad = torch.randn(weight.shape, generator=generator)
            optimizer.step()
    for one, other in zip(models[0].parameters(), models[1].parameters(), strict=True):
        assert torch.equal(one, other)
        assert other.requires_grad
