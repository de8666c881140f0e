"""A process that decodes images, one after another, for the service.

The contract:

- Standard input is a socket. A request is two messages, the pickled spec and the image file; the
  response is one, the pickled result or error. Each message follows its length.
- Memory beyond what images of `max_pixels` take is refused, and what is freed is given back.
- The service ends the process by killing it, at any time; signals that are sent to all processes of
  the service are ignored. The process ends with the service.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import resource
import signal
import socket
import struct
import sys
import traceback
from contextlib import suppress
from io import BufferedRWPair
from pathlib import Path

from service.errors import ServiceError
from service.imaging.decode import EncodedImage, out_of_memory
from service.imaging.pictures import Loaded, PictureSpec, load_picture

LENGTH = struct.Struct("<Q")
# of 16-bit RGBA in a TIFF, which takes the most: the file's samples, and their copies
_BYTES_PER_PIXEL = 24
_SPARE_BYTES = 256 << 20
_NICENESS = 5  # large images wait for the event loop and the network, not the other way round
_PR_SET_PDEATHSIG = 1
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 1 << 20  # by the allocator


def main(max_pixels: int) -> None:
    """Answer requests until the service closes the socket."""
    _detach()
    _limit_memory(max_pixels)
    with socket.socket(fileno=os.dup(0)) as connection, connection.makefile("rwb") as stream:
        while (spec := _receive(stream)) is not None:
            content = _receive(stream) or b""
            outcome = pickle.dumps(_outcome(content, pickle.loads(spec), max_pixels), 5)  # noqa: S301  the service's own
            _send(stream, outcome)
            del content, outcome  # while it waits for the next request


def _outcome(content: bytes, spec: PictureSpec, max_pixels: int) -> Loaded | Exception:
    try:
        return load_picture(EncodedImage(content), spec, max_pixels)
    except ServiceError as error:
        error.__cause__ = error.__context__ = None  # what decoders raise may not be picklable
        return error
    except MemoryError:
        return out_of_memory()
    except Exception:  # noqa: BLE001  the service logs it
        return RuntimeError(traceback.format_exc())


def _receive(stream: BufferedRWPair) -> bytes | None:
    """The next message; None at the end."""
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    return stream.read(LENGTH.unpack(head)[0])


def _send(stream: BufferedRWPair, message: bytes) -> None:
    stream.write(LENGTH.pack(len(message)))
    stream.write(message)
    stream.flush()


def _detach() -> None:
    """Ignore the signals of the service, end with it, and give way to it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.nice(_NICENESS)
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    with suppress(AttributeError):  # other C libraries than glibc give memory back by themselves
        libc.mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES)
        libc.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)


def _limit_memory(max_pixels: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        n_pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except OSError:
        return
    n_bytes = n_pages * resource.getpagesize() + _SPARE_BYTES + _BYTES_PER_PIXEL * max_pixels
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = n_bytes if hard == resource.RLIM_INFINITY else min(n_bytes, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def command(max_pixels: int) -> list[str]:
    """The command that starts the process, with the modules of this one but none of its folder."""
    code = (
        f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import main; main({max_pixels})"
    )
    return [sys.executable, "-P", "-c", code]
