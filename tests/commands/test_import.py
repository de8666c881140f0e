"""`lrpserve import`: a model of weights of one's own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from service.commands.importing import serve_command
from service.models.architectures import build
from service.models.card import read_card
from service.models.registry import find_bundle
from service.settings import DEFAULT_MODEL, PREFIX
from tests.commands.command_line import Lrpserve, assert_one_sentence


@pytest.fixture
def resnet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the weights and labels of a small network."""
    torch.manual_seed(0)
    model = build("resnet18", 2)
    torch.save({"state_dict": model.state_dict()}, tmp_path / "weights.pth")
    (tmp_path / "labels.txt").write_text("crane\ncrane\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


IMPORT: dict[str, str] = {
    "arch": "resnet18",
    "weights": "weights.pth",
    "labels": "labels.txt",
    "mean": "0.485,0.456,0.406",
    "std": "0.229,0.224,0.225",
    "size": "32x64",
}


def flags(**changes: str) -> list[str]:
    return [f"--{name}={value}" for name, value in (IMPORT | changes).items()]


def test_an_imported_model_is_listed(
    lrpserve: Lrpserve, resnet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = lrpserve("import", *flags(resize="72", data="birds and machines"), "cranes")
    assert done.code == 0
    assert done.err == "note: the label 'crane' is there again for class 1, now 'crane (2)'\n"
    serve = "LRPSERVE_MODELS=models LRPSERVE_MODEL=cranes lrpserve serve"
    assert done.out == f"wrote models/cranes; serve it with: {serve}\n"
    monkeypatch.setenv(f"{PREFIX}MODELS", "models")
    monkeypatch.setenv(f"{PREFIX}MODEL", "cranes")
    shipped, own = lrpserve("models").out.splitlines()[1:]
    assert shipped.split()[0] == DEFAULT_MODEL
    assert own.split() == [
        "cranes",
        "*",
        "resnet18",
        "2",
        "32x64",
        "-",
        *["birds", "and", "machines"],
    ]
    card = read_card(find_bundle("cranes", resnet / "models"))
    assert (card.input_size, card.resize, card.mean) == ((32, 64), 72, (0.485, 0.456, 0.406))


def test_import_replaces_a_model_only_with_force(
    lrpserve: Lrpserve, resnet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{PREFIX}MODELS", str(resnet / "mine"))
    assert lrpserve("import", *flags(), "cranes").code == 0
    assert_one_sentence(lrpserve("import", *flags(), "cranes"), "is there already", "--force")
    assert lrpserve("import", *flags(), "--force", "cranes").code == 0
    assert [path.name for path in (resnet / "mine").iterdir()] == ["cranes"]
    assert not (resnet / "models").exists()


def test_import_uses_an_architecture_of_an_allowed_module(
    lrpserve: Lrpserve, resnet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "from torchvision.models import resnet18\ndef net(n): return resnet18(num_classes=n)\n"
    (resnet / "own_cranes.py").write_text(code)
    monkeypatch.syspath_prepend(str(resnet))
    asked = flags(arch="own_cranes:net")
    refused = lrpserve("import", *asked, "cranes")
    assert_one_sentence(refused, "LRPSERVE_ARCHITECTURES=own_cranes")
    monkeypatch.setenv(f"{PREFIX}ARCHITECTURES", "own_cranes")
    done = lrpserve("import", *asked, "cranes")
    assert done.out.endswith("LRPSERVE_ARCHITECTURES=own_cranes lrpserve serve\n")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"mean": "123.7,116.3,103.5"}, "mean: '123.7,116.3,103.5' has to be three numbers"),
        ({"std": "0.2"}, "std: '0.2' has to be three numbers"),
        ({"size": "big"}, "size: 'big' has to be as in 224"),
        ({"resize": "63"}, "resize must be at least as large as both sides"),
        ({"arch": "resnet19"}, "'resnet19' is not known"),
        ({"arch": "vgg11"}, "missing (features.0.weight"),
        ({"weights": "labels.txt"}, "labels.txt has to be a .safetensors, .pt or .pth file"),
        ({"labels": "weights.pth"}, "weights.pth cannot be read: it has 44,"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_failed_import_is_one_sentence_and_leaves_no_files(
    lrpserve: Lrpserve, resnet: Path, changes: dict[str, str], said: str
) -> None:
    assert_one_sentence(lrpserve("import", *flags(**changes), "cranes"), said)
    assert sorted(path.name for path in resnet.iterdir()) == ["labels.txt", "weights.pth"]


def test_import_does_not_guess_the_normalization(lrpserve: Lrpserve, resnet: Path) -> None:
    for missing in ("mean", "std", "size"):
        given = [flag for flag in flags() if not flag.startswith(f"--{missing}=")]
        done = lrpserve("import", *given, "cranes")
        assert done.code == 2
        assert f"'--{missing}'" in done.err
    assert not (resnet / "models").exists()


OWN_NETWORKS = """
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4 * 6 * 6, n)
        self.norm = nn.InstanceNorm2d(4)
        self.batch_norm = nn.BatchNorm2d(4, track_running_stats=False)

    def forward(self, x):
        return self.head(self.middle(self.conv(x)).view(x.size(0), -1))

class Viewing(Net):
    def middle(self, x):
        return F.relu(x)

class Normed(Net):
    def middle(self, x):
        return F.relu(self.norm(x))

class Mixing(Net):
    def middle(self, x):
        return F.relu(self.batch_norm(x))

class Random(Net):
    def middle(self, x):
        return F.dropout(x)
"""


@pytest.fixture
def own_networks(resnet: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Options of an import of weights that fit all of the networks above."""
    (resnet / "own_views.py").write_text(OWN_NETWORKS)
    monkeypatch.syspath_prepend(str(resnet))
    monkeypatch.setenv(f"{PREFIX}ARCHITECTURES", "own_views")
    torch.save(build("own_views:Viewing", 2, ["own_views"]).state_dict(), "own.pt")
    return ["--weights=own.pt", "--size=8"]


@pytest.mark.parametrize("network", ["Viewing", "Normed"])
def test_import_takes_networks_that_need_contiguous_tensors(
    lrpserve: Lrpserve, own_networks: list[str], network: str
) -> None:
    done = lrpserve("import", *flags(arch=f"own_views:{network}"), *own_networks, "mine")
    assert (done.code, done.err.count("error")) == (0, 0), done.err


@pytest.mark.parametrize(
    ("network", "said"),
    [
        ("Mixing", "answers of the model mine depend on the other images of a batch"),
        ("Random", "the model mine answers at random"),
    ],
)
def test_import_refuses_networks_whose_answers_change(
    lrpserve: Lrpserve, own_networks: list[str], network: str, said: str
) -> None:
    done = lrpserve("import", *flags(arch=f"own_views:{network}"), *own_networks, "mine")
    assert_one_sentence(done, said)
    assert not Path("models/mine").exists()


def test_the_command_names_the_program_that_runs(tmp_path: Path) -> None:
    card = read_card(find_bundle(DEFAULT_MODEL)).model_copy(update={"architecture": "nets:small"})
    program = tmp_path / "my environment" / "lrpserve"
    assert serve_command(tmp_path / "my models", card, str(program)) == (
        f"LRPSERVE_MODELS='{tmp_path}/my models' LRPSERVE_MODEL={DEFAULT_MODEL} "
        f"LRPSERVE_ARCHITECTURES=nets '{program}' serve"
    )


def test_the_command_is_short_where_the_shell_finds_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "lrpserve"
    program.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    card = read_card(find_bundle(DEFAULT_MODEL))
    assert serve_command(Path("models"), card, str(program)).endswith(" lrpserve serve")


def test_only_the_first_notes_of_many_are_printed(
    lrpserve: Lrpserve, resnet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = resnet / "labels.txt"
    labels.write_text("crane\n" * 30)
    torch.save(build("resnet18", 30).state_dict(), resnet / "weights.pth")
    notes = lrpserve("import", *flags(), "cranes").err.splitlines()
    assert len(notes) == 21
    assert notes[-1] == "note: and 9 more labels"
