"""What the header of a file of weights says, read without torch and without its tensors."""

from __future__ import annotations

import pickletools
import zipfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from safetensors import SafetensorError, safe_open

from service.errors import BundleError
from service.files import check_file

MAX_BYTES = 2**34
PREFIXES = ("module.", "_orig_mod.")  # of DataParallel, and of torch.compile
WHAT_TO_SAVE = (
    'save only the weights, with torch.save(model.state_dict(), "weights.pt") or as safetensors'
)
_MAX_PICKLE_BYTES = 2**22
_MAX_OPCODES = 40  # between the name of a tensor and its shape
_INTEGERS = ("BININT", "BININT1", "BININT2")


def check_weights_file(path: Path) -> None:
    """Check what can be known of a file of weights without torch.

    Raises
    ------
    BundleError
        It cannot be read, is no kind of file that holds weights, or its header is invalid.
    """
    try:
        check_file(path, MAX_BYTES)
    except OSError as error:
        raise BundleError(f"the weights {path} cannot be read: {error.strerror}") from error
    suffix = path.suffix.lower()
    if suffix not in (".safetensors", ".pt", ".pth"):
        raise BundleError(f"{path.name} has to be a .safetensors, .pt or .pth file; {WHAT_TO_SAVE}")
    if suffix == ".safetensors":
        _safetensors_rows(path, "")


def count_rows(path: Path, layer: str) -> set[int]:
    """Rows of the weight of a layer, one number for each tensor of that name.

    Empty where the file has no such tensor, or is of a kind whose header cannot be read.
    """
    if path.suffix.lower() == ".safetensors":
        return _safetensors_rows(path, layer)
    return set(_pickled_rows(_read_pickle(path), layer))


def _safetensors_rows(path: Path, layer: str) -> set[int]:
    try:
        with safe_open(path, framework="np") as file:
            names = [name for name in file.keys() if _is_weight(name, layer)]  # noqa: SIM118
            shapes = [file.get_slice(name).get_shape() for name in names]
    except SafetensorError as error:
        raise BundleError(f"{path.name} is not a safetensors file: {error}") from error
    return {shape[0] for shape in shapes if shape}


def _is_weight(name: str, layer: str) -> bool:
    for prefix in PREFIXES:
        name = name.removeprefix(prefix)
    return name == f"{layer}.weight"


def _read_pickle(path: Path) -> bytes:
    """The pickle in a file of `torch.save`; empty if it has none of a usual size."""
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                if member.filename.endswith("/data.pkl") and member.file_size <= _MAX_PICKLE_BYTES:
                    return archive.read(member)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError):
        pass  # torch says what is wrong
    return b""


def _pickled_rows(pickle: bytes, layer: str) -> Iterator[int]:
    """Find tensors by name among a pickle's opcodes; nothing is unpickled.

    `torch.save` writes the name, then a call of `_rebuild_tensor_v2` with the storage (a persistent
    id), the offset in it, and the shape.
    """
    opcodes = ((opcode.name, value) for opcode, value, _ in pickletools.genops(pickle))
    try:
        for name, value in opcodes:
            if name == "BINUNICODE" and _is_weight(str(value), layer):
                until_storage = islice(opcodes, _MAX_OPCODES)
                if any(name == "BINPERSID" for name, _ in until_storage):
                    (_, _), (kind, n_rows) = islice(opcodes, 2)
                    if kind in _INTEGERS and isinstance(n_rows, int):
                        yield n_rows
    except ValueError:
        return  # torch says what is wrong
