"""Listening sockets: addresses of IPv4 and IPv6, and unix sockets.

The contract:

- `::` listens on IPv6 and IPv4; a name listens on all of its addresses, at the same port.
- The file of a unix socket is for its owner and group. A stale one is replaced, one on which
  another process listens is not, nor is a file of another kind. It is removed at the end.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from service.errors import ServiceError

UNIX = "unix:"
_BACKLOG = 2048
_NOT_FOR_OTHERS = 0o117
_NO_SUCH_ADDRESS = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)  # IPv6 may be turned off


class ListenError(ServiceError):
    """The service cannot listen on the address."""

    type = "listen-error"
    title = "Cannot listen"


@contextmanager
def listen(host: str, port: int) -> Iterator[list[socket.socket]]:
    """Open listening sockets, and close them at the end.

    Parameters
    ----------
    host : str
        An address, a name, or `unix:PATH`.
    port : int
        0 means any free port; unix sockets have none.

    Raises
    ------
    ListenError
        The address is in use, or not one of this machine, or the name cannot be one.
    """
    if host.startswith(UNIX):
        with _listen_on_file(Path(host.removeprefix(UNIX))) as listener:
            yield [listener]
        return
    with ExitStack() as opened:
        try:
            listeners = [opened.enter_context(each) for each in _open_all(host, port)]
        except (OSError, UnicodeError) as error:  # the latter of a name that is none
            raise ListenError(
                f"cannot listen on {host}:{port} ({error}); choose another --host or --port"
            ) from error
        yield listeners


def url_of(listeners: Sequence[socket.socket], scheme: str = "http") -> str:
    """The address of listening sockets: a URL, or `unix:PATH`."""
    address = listeners[0].getsockname()
    if listeners[0].family == socket.AF_UNIX:
        return f"{UNIX}{address}"
    host, port = address[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _open_all(host: str, port: int) -> list[socket.socket]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    # IPv4 first: its address is the one that is printed
    addresses = sorted({(entry[0], entry[4]) for entry in found})
    listeners: list[socket.socket] = []
    last: OSError | None = None
    try:
        for family, address in addresses:
            bound = listeners[0].getsockname()[1] if listeners else port  # if any port was asked
            try:
                listeners.append(_open(family, (address[0], bound, *address[2:])))
            except OSError as error:
                if error.errno not in _NO_SUCH_ADDRESS:
                    raise
                last = error
    except OSError:
        for listener in listeners:
            listener.close()
        raise
    if last is not None and not listeners:
        raise last
    return listeners


def _open(family: int, address: tuple[object, ...]) -> socket.socket:
    is_both = address[0] == "::" and socket.has_dualstack_ipv6()
    return socket.create_server(address, family=family, backlog=_BACKLOG, dualstack_ipv6=is_both)


@contextmanager
def _listen_on_file(path: Path) -> Iterator[socket.socket]:
    path = path.absolute()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        try:
            _remove_stale(path)
            mask = os.umask(_NOT_FOR_OTHERS)
            try:
                listener.bind(str(path))
            finally:
                os.umask(mask)
            listener.listen(_BACKLOG)
        except OSError as error:
            raise ListenError(
                f"cannot listen on {UNIX}{path} ({error}); choose another --host"
            ) from error
        own = path.stat().st_ino
        try:
            yield listener
        finally:
            with suppress(FileNotFoundError):
                if path.stat().st_ino == own:
                    path.unlink()


def _remove_stale(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ListenError(f"{path} is a file, and no socket; choose another --host")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise ListenError(f"another process listens on {UNIX}{path}; choose another --host")
