"""What an audit writes: a report that opens offline, JSON, and a project of ViRelAy."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml
from axe_playwright_python.sync_playwright import Axe
from PIL import Image

from service.commands.audit import write_results
from service.evaluation.audit.audit import Audit, AuditOptions, Cluster
from service.evaluation.audit.clustering import Clustering
from service.evaluation.audit.probes import REGION, Finding
from service.evaluation.audit.report import N_SHOWN
from service.evaluation.explained import Maps
from service.evaluation.images import ImageSet
from service.models.card import ModelCard
from tests.helpers.browsers import no_errors, open_browser

N = 120
DATA = "photos of <b>bold</b> & co"
FINDINGS = (
    Finding(REGION, 0.9, 0.8, 0.1, 0.5, 0.1),
    Finding("hue+30", 0.5, 0.2, 0.1, 0.0, 0.0),
)


def make_cluster(number: int, score: float) -> Cluster:
    region = np.zeros((32, 32), dtype=np.bool_)
    region[:4, :4] = True
    members = np.arange(number % 10, N, 10)
    findings = (replace(FINDINGS[number % 2], presence=1.0, flips=score, control=0.0),)
    return Cluster(number % 10, "position", members, 0.1, region, findings)


@pytest.fixture(scope="module")
def audit() -> Audit:
    """30 clusters, of which 25 are suspicious: more than are shown otherwise."""
    random = np.random.default_rng(0)
    labels = np.arange(N) % 10
    pixels = random.integers(0, 256, (N, 32, 32, 3), dtype=np.uint8)
    images = ImageSet(pixels, labels, tuple(Path(f"{index}.png") for index in range(N)))
    relevance = random.normal(size=(N, 32, 32)).astype(np.float32)
    logits = random.normal(size=(N, 10)).astype(np.float32)
    maps = Maps(relevance, labels, logits, logits.max(1))
    clusters = [make_cluster(n, 0.9 if n < 25 else 0.1) for n in range(30)]
    clustering = Clustering(np.arange(12) % 2, random.normal(size=(12, 3)), np.arange(3.0))
    clusterings = {(n, domain): clustering for domain in ("position", "shape") for n in range(10)}
    return Audit(images, maps, tuple(clusters), clusterings)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, audit: Audit, card: ModelCard) -> Path:
    folder = tmp_path_factory.mktemp("audit")
    named = card.model_copy(update={"labels": ("<i>plane</i>", *card.labels[1:])})
    write_results(audit, named, AuditOptions(), DATA, folder)
    return folder


class Tags(HTMLParser):
    """Collects the tags of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_the_report_needs_no_other_file(written: Path) -> None:
    tags = Tags((written / "report.html").read_text(encoding="utf-8")).tags
    names = {name for name, _ in tags}
    assert not names & {"script", "link", "iframe", "object", "b", "i"}
    addresses = [
        value or "" for _, attrs in tags for key, value in attrs.items() if key in ("src", "href")
    ]
    assert len(addresses) > N_SHOWN
    assert all(one.startswith(("data:image/png;base64,", "#cluster-")) for one in addresses)


def test_every_suspicious_cluster_is_shown(written: Path) -> None:
    tags = Tags((written / "report.html").read_text(encoding="utf-8")).tags
    pictures = [attrs for name, attrs in tags if name == "img"]
    assert len(pictures) == 25
    assert all(attrs["alt"] for attrs in pictures)
    targets = {attrs["id"] for _, attrs in tags if "id" in attrs}
    assert {f"cluster-{number}" for number in range(1, 26)} <= targets


def test_the_report_opens_offline_and_is_accessible(written: Path) -> None:
    with open_browser() as browser:
        context = browser.new_context(offline=True, viewport={"width": 360, "height": 800})
        page = context.new_page()
        requested: list[str] = []
        page.on("request", lambda request: requested.append(request.url))
        with no_errors(page):
            page.goto((written / "report.html").as_uri())
            assert page.evaluate("document.documentElement.scrollWidth") <= 360
            sizes = page.eval_on_selector_all("img", "all => all.map(one => one.naturalWidth)")
            violations = Axe().run(page).response["violations"]
        context.close()
    assert len(sizes) == 25
    assert all(sizes)
    assert [(one["id"], one["nodes"][0]["html"]) for one in violations] == []
    assert [url for url in requested if not url.startswith(("file:", "data:"))] == []


def test_each_shown_cluster_has_a_contact_sheet(written: Path) -> None:
    sheets = sorted((written / "sheets").glob("*.png"))
    assert len(sheets) == 25
    with Image.open(sheets[0]) as picture:
        assert picture.width > 700


def test_the_json_has_every_cluster(written: Path, audit: Audit) -> None:
    record = json.loads((written / "audit.json").read_text(encoding="utf-8"))
    assert len(record["clusters"]) == 30
    first = record["clusters"][0]
    assert (first["class"], first["score"], first["is_suspicious"]) == ("<i>plane</i>", 0.9, True)
    assert first["images"] == [str(audit.images.paths[n]) for n in audit.clusters[0].members]
    assert record["verdict"].startswith("25 of 30 clusters of 120 images are suspicious")


def test_the_project_of_virelay_has_the_clusters(written: Path, audit: Audit) -> None:
    folder = written / "virelay"
    project = yaml.safe_load((folder / "project.yaml").read_text(encoding="utf-8"))["project"]
    assert [one["analysis_method"] for one in project["analyses"]] == ["position", "shape"]
    with h5py.File(folder / "analysis-shape.h5") as file:
        assert len(file) == 10
        group = file["00000003"]
        assert group["index"][()].tolist() == list(range(3, N, 10))
        expected = audit.clusterings[3, "shape"]
        assert np.array_equal(group["cluster/eigengap"], expected.labels)
        assert np.array_equal(group["embedding/spectral"], expected.embedding)
    with h5py.File(folder / "attribution.h5") as file:
        assert file["attribution"].shape == (N, 3, 32, 32)  # ViRelAy cannot draw one channel
        assert np.allclose(file["attribution"][()].sum(1), audit.maps.relevance, atol=1e-6)
