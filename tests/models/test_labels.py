"""Files of labels: read in order, or refused in one sentence."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from torchvision.models import ResNet18_Weights

from service.errors import BundleError
from service.models.labels import MAX_LABELS, number_repeated, parse_labels, read_labels

lines = st.text(st.characters(exclude_characters="\n", codec="utf-8"), min_size=1)
names = lines.map(str.strip).filter(lambda line: line != "" and line[0] not in "[{\ufeff")


@given(st.lists(names, min_size=1), st.sampled_from(["\n", "\r\n"]), st.integers(0, 3))
def test_one_label_per_line_in_their_order(labels: list[str], end: str, n_blank: int) -> None:
    text = end.join(labels) + end * n_blank
    assert parse_labels(text) == tuple(labels)


@given(st.lists(lines.map(str.strip).filter(bool), min_size=1), st.booleans())
def test_a_json_list_is_the_same(labels: list[str], ascii_only: bool) -> None:
    assert parse_labels(json.dumps(labels, ensure_ascii=ascii_only)) == tuple(labels)


@given(st.binary())
@example(b'["\\ud800", "cat"]')
@example(b"[" * 100_000)
@example(b"\xef\xbb\xbfcat\ndog")
def test_any_bytes_are_labels_or_one_sentence(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "labels.txt"
        path.write_bytes(content)
        labels: tuple[str, ...] = ("a label",)
        detail = str(path)
        try:
            labels = read_labels(path)
        except BundleError as error:
            detail = error.detail
    assert labels
    assert all(label.encode() and label == label.strip() for label in labels)
    assert str(path) in detail
    assert "\n" not in detail


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"cat\n\ndog\n", "number 2 is empty"),
        (b"", "number 1 is empty"),
        (b'["cat", ""]', "number 2 is empty"),
        (b'["cat", 3]', "a list of texts"),
        (b'{"0": "cat"}', "a list of texts"),
        (b'["cat", "dog"', "begin as JSON but are none"),
        (b'["\\ud800"]', "surrogates"),
        (b"caf\xe9\n", "not UTF-8"),
        (b"a\n" * (MAX_LABELS + 1), "there are 100,001, and at most 100,000 can be used"),
    ],
)
def test_what_is_wrong_with_labels_is_said(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "labels.txt"
    path.write_bytes(content)
    with pytest.raises(BundleError, match=said):
        read_labels(path)


def test_a_byte_order_mark_is_no_part_of_the_first_label(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_bytes("cat\r\ndog\r\n".encode("utf-8-sig"))
    assert read_labels(path) == ("cat", "dog")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"labels .*nowhere.* cannot be read: No such file"):
        read_labels(tmp_path / "nowhere")


def test_repeated_labels_get_a_number_and_a_note() -> None:
    labels, notes = number_repeated(["crane", "maillot", "crane", "maillot", "crane"])
    assert labels == ("crane", "maillot", "crane (2)", "maillot (2)", "crane (3)")
    assert notes[0] == "the label 'crane' is there again for class 2, now 'crane (2)'"
    assert len(notes) == 3


def test_labels_that_differ_stay_as_they_are() -> None:
    categories = tuple(ResNet18_Weights.IMAGENET1K_V1.meta["categories"])
    assert number_repeated(categories) == (categories, [])


@given(st.lists(st.sampled_from(["a", "b", "a (2)", "a (3)", "a (2) (2)"]), max_size=12))
@example(["a", "a", "a (2)", "a"])
def test_numbered_labels_differ_and_the_first_of_each_stays(labels: list[str]) -> None:
    numbered, notes = number_repeated(labels)
    assert len(set(numbered)) == len(numbered) == len(labels)
    for label in labels:
        assert numbered[labels.index(label)] == label
    assert len(notes) == len(labels) - len(set(labels))


def test_equal_labels_are_numbered_in_linear_time() -> None:
    # comparing each with all before it would take minutes
    numbered, _ = number_repeated(["a"] * MAX_LABELS)
    assert numbered[-1] == f"a ({MAX_LABELS})"
