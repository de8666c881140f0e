"""Reading of class labels from a file. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from service import strict_json
from service.errors import BundleError
from service.files import read_file

MAX_BYTES = 2**24
MAX_LABELS = 100_000


def read_labels(path: Path) -> tuple[str, ...]:
    """Read a file of labels, in the order of the network's outputs.

    Raises
    ------
    BundleError
        The file cannot be read, or `parse_labels` refuses its text.
    """
    try:
        text = read_file(path, MAX_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise BundleError(f"the labels {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BundleError(f"the labels {path} are not UTF-8: save them as UTF-8 text") from error
    try:
        return parse_labels(text)
    except ValueError as error:
        raise BundleError(f"the labels {path} cannot be used: {error}") from error


def parse_labels(text: str) -> tuple[str, ...]:
    """Parse one label per line, or a JSON list of strings; labels are stripped of white space.

    Raises
    ------
    ValueError
        A label is empty (but for empty lines at the end), or not a string, or there are more than
        `MAX_LABELS`.
    """
    is_json = text.lstrip().startswith(("[", "{"))
    found = _of_json(text) if is_json else text.rstrip().split("\n")
    if len(found) > MAX_LABELS:
        raise ValueError(f"there are {len(found):,}, and at most {MAX_LABELS:,} can be used")
    labels = tuple(label.strip() for label in found)
    for index, label in enumerate(labels):
        if not label:
            raise ValueError(f"number {index + 1} is empty")
        label.encode()  # JSON can spell halves of characters, which cannot be written again
    return labels


def _of_json(text: str) -> list[str]:
    try:
        labels = strict_json.loads(text)
    except ValueError as error:
        raise ValueError(f"they begin as JSON but are none ({error})") from error
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise ValueError("as JSON they have to be a list of texts")
    return labels


def number_repeated(labels: Sequence[str]) -> tuple[tuple[str, ...], list[str]]:
    """Number repeated labels: `crane`, `crane` becomes `crane`, `crane (2)`.

    Many lists of ImageNet's labels have that pair, the bird and the machine, and `maillot` twice.

    Returns
    -------
    labels : tuple of str
        All different; the first of equal labels is unchanged.
    notes : list of str
        A sentence for each changed label.
    """
    taken, seen = set(labels), set[str]()
    numbers = dict.fromkeys(labels, 2)
    numbered, notes = [], []
    for index, label in enumerate(labels):
        new = label
        if label in seen:
            while (new := f"{label} ({numbers[label]})") in taken:
                numbers[label] += 1
            notes.append(f"the label {label!r} is there again for class {index}, now {new!r}")
        taken.add(new)
        seen.add(label)
        numbered.append(new)
    return tuple(numbered), notes
