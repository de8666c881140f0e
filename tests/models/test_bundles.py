"""Bundles: what is written is read again, and nothing that is broken is."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from service.errors import BundleError
from service.models.architectures import MiniVGG, build
from service.models.bundles import read_bundle, write_bundle
from service.models.card import CARD_FILE, WEIGHTS_FILE, ModelCard


@pytest.fixture
def written(tmp_path: Path, card: ModelCard) -> Path:
    """A bundle of random weights."""
    torch.manual_seed(0)
    write_bundle(tmp_path / "bundle", card, MiniVGG())
    return tmp_path / "bundle"


def rehash(folder: Path) -> None:
    """Make the card describe whatever the weights' file is now."""
    digest = hashlib.sha256((folder / WEIGHTS_FILE).read_bytes()).hexdigest()
    change_card(folder, sha256=digest)


def change_card(folder: Path, **changes: Any) -> None:
    fields = json.loads((folder / CARD_FILE).read_text()) | changes
    (folder / CARD_FILE).write_text(json.dumps(fields))


def change_weights(folder: Path, change: Callable[[dict[str, Tensor]], None]) -> None:
    weights = load_file(folder / WEIGHTS_FILE)
    change(weights)
    save_file(weights, folder / WEIGHTS_FILE)
    rehash(folder)


def test_what_is_written_is_read_again(tmp_path: Path, card: ModelCard) -> None:
    model = MiniVGG()
    written = write_bundle(tmp_path, card, model)
    bundle = read_bundle(tmp_path)
    assert bundle.card == written
    assert written.sha256 == hashlib.sha256((tmp_path / WEIGHTS_FILE).read_bytes()).hexdigest()
    for name, tensor in model.state_dict().items():
        assert torch.equal(bundle.model.state_dict()[name], tensor)


def test_a_model_that_was_read_is_in_evaluation_mode_without_gradients(written: Path) -> None:
    model = read_bundle(written).model
    assert not any(module.training for module in model.modules())
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_the_hash_holds_against_a_single_flipped_bit(written: Path) -> None:
    content = bytearray((written / WEIGHTS_FILE).read_bytes())
    content[len(content) // 2] ^= 1
    (written / WEIGHTS_FILE).write_bytes(content)
    with pytest.raises(BundleError, match="sha256"):
        read_bundle(written)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"nowhere.*not a folder"):
        read_bundle(tmp_path / "nowhere")


@pytest.mark.parametrize("name", [WEIGHTS_FILE, CARD_FILE])
def test_a_missing_file_is_named(written: Path, name: str) -> None:
    (written / name).unlink()
    with pytest.raises(BundleError, match=f"has no {name}"):
        read_bundle(written)


def drop(name: str) -> Callable[[dict[str, Tensor]], None]:
    return lambda weights: weights.__delitem__(name)


def put(name: str, tensor: Tensor) -> Callable[[dict[str, Tensor]], None]:
    return lambda weights: weights.__setitem__(name, tensor)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(drop("features.0.bias"), r"missing \['features.0.bias'\]", id="missing"),
        pytest.param(put("extra", torch.zeros(1)), r"not known \['extra'\]", id="extra"),
        pytest.param(
            put("features.0.bias", torch.zeros(31)), r"features.0.bias.*31.*32", id="shape"
        ),
        pytest.param(
            put("features.0.bias", torch.zeros(32, dtype=torch.float64)), "float64", id="dtype"
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    written: Path, change: Callable[[dict[str, Tensor]], None], message: str
) -> None:
    change_weights(written, change)
    with pytest.raises(BundleError, match=message):
        read_bundle(written)


class Bomb:
    """Leaves a trace when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return (Path.touch, (self.trace,))


@pytest.mark.parametrize("save", [pickle.dump, torch.save], ids=["pickle", "torch"])
def test_a_pickle_is_refused_and_never_unpickled(
    written: Path, tmp_path: Path, save: Callable[..., None]
) -> None:
    trace = tmp_path / "trace"
    with (written / WEIGHTS_FILE).open("wb") as file:
        save(Bomb(trace), file)
    rehash(written)
    with pytest.raises(BundleError, match="not a safetensors file"):
        read_bundle(written)
    assert not trace.exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "resnet9000"}, "resnet9000.*minivgg"),
        ({"labels": ["cat", "dog"]}, "classifier.7"),
        ({"labels": ["cat", "cat"]}, "labels must be different"),
        ({"std": [0.2, 0, 0.2]}, "std must be above 0"),
        ({"sha256": "abc"}, "sha256"),
        ({"name": "../up"}, "name"),
        ({"mean": [0.5, 0.5]}, "mean"),
        ({"mean": [0.5, 0.5, float("nan")]}, "NaN is not JSON"),
        ({"accuracy": {"test": {"accuracy": 1.5, "n": 10}}}, "accuracy.test.accuracy"),
        ({"provenance": {}}, "provenance.recipe: Field required"),
        ({"provenance": None}, "provenance: Input should be"),
        ({"provenance": {"imported_at": "today"}}, "provenance.source: Field required"),
        ({"resize": 31}, "resize must be at least as large"),
        ({"resize": 0}, "resize: Input should be greater than 0"),
        ({"surprise": 1}, "surprise"),
        ({"input_size": [0, 32]}, "input_size"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_card_that_cannot_be_is_refused(
    written: Path, changes: dict[str, Any], message: str
) -> None:
    change_card(written, **{"confusion": {}, **changes})  # which is of ten classes
    with pytest.raises(BundleError, match=message):
        read_bundle(written)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"null"])
def test_a_card_that_is_no_json_object_is_refused(written: Path, content: bytes) -> None:
    (written / CARD_FILE).write_bytes(content)
    with pytest.raises(BundleError, match="not a valid card"):
        read_bundle(written)


@pytest.mark.parametrize("length", [0, 4, 100, 100_000])
def test_truncated_weights_are_refused(written: Path, length: int) -> None:
    (written / WEIGHTS_FILE).write_bytes((written / WEIGHTS_FILE).read_bytes()[:length])
    rehash(written)
    with pytest.raises(BundleError, match="not a safetensors file"):
        read_bundle(written)


def test_the_shipped_model_is_as_good_as_promised(card: ModelCard) -> None:
    assert card.accuracy["test"].n == 10_000
    assert card.accuracy["test"].accuracy >= 0.84
    assert card.provenance.data == "CIFAR-10, JPEG q75"


# Networks with more than weights: resnet18's batch norms, and code of the user's own


@pytest.fixture(scope="module")
def resnet() -> nn.Module:
    """One that has seen two batches, so that its statistics are not those of a new one."""
    torch.manual_seed(0)
    model = build("resnet18", 10)
    for _ in range(2):
        model(torch.randn(2, 3, 32, 32))
    return model.eval()


def test_a_resnet_that_is_read_again_computes_the_same(
    tmp_path: Path, card: ModelCard, resnet: nn.Module
) -> None:
    write_bundle(tmp_path, card.model_copy(update={"architecture": "resnet18"}), resnet)
    read = read_bundle(tmp_path).model
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(read(images), resnet(images))
    tensors = [*read.parameters(), *read.buffers()]
    assert not any(tensor.is_meta for tensor in tensors)


def test_integers_are_written_as_they_are_and_floats_as_float32(
    tmp_path: Path, card: ModelCard, resnet: nn.Module
) -> None:
    write_bundle(tmp_path, card, copy.deepcopy(resnet).double())
    written = load_file(tmp_path / WEIGHTS_FILE)
    counts = {name for name in written if name.endswith("num_batches_tracked")}
    assert len(counts) == 20
    assert all(written[name].dtype == torch.int64 and written[name] == 2 for name in counts)
    assert {written[name].dtype for name in written.keys() - counts} == {torch.float32}


OWN_CODE = """
import torch
from torch import nn

class Tied(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.first = nn.Linear(num_classes, num_classes)
        self.second = nn.Linear(num_classes, num_classes)
        self.second.weight = self.first.weight
        self.register_buffer("scale", torch.full((1,), 3.0), persistent=False)

    def forward(self, values):
        return self.scale * self.second(self.first(values))
"""


def test_own_code_is_read_where_it_is_allowed(
    tmp_path: Path, card: ModelCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_tied.py").write_text(OWN_CODE)
    monkeypatch.syspath_prepend(str(tmp_path))
    model = build("own_tied:Tied", 10, ["own_tied"])
    folder = tmp_path / "bundle"
    write_bundle(folder, card.model_copy(update={"architecture": "own_tied:Tied"}), model)
    values = torch.randn(2, 10)
    assert torch.equal(read_bundle(folder, ["own_tied"]).model(values), model(values))
    with pytest.raises(BundleError, match="LRPSERVE_ARCHITECTURES=own_tied"):
        read_bundle(folder)


def test_weights_larger_than_the_network_are_not_read(written: Path) -> None:
    os.truncate(written / WEIGHTS_FILE, 2**40)  # none of which is on the disk
    with pytest.raises(BundleError, match="it has 1,099,511,627,776 bytes, and at most"):
        read_bundle(written)


def test_tensors_of_a_type_that_torch_lacks_are_named(written: Path) -> None:
    tensor = {"dtype": "F4", "shape": [3, 2], "data_offsets": [0, 3]}
    header = json.dumps({"a": tensor}).encode()
    content = struct.pack("<Q", len(header)) + header + bytes(3)
    (written / WEIGHTS_FILE).write_bytes(content)
    card = json.loads((written / CARD_FILE).read_text())
    card["sha256"] = hashlib.sha256(content).hexdigest()
    (written / CARD_FILE).write_text(json.dumps(card))
    with pytest.raises(BundleError, match="has tensors of the type F4, which torch cannot"):
        read_bundle(written)
