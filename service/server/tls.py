"""TLS: the certificate that new connections get, read again whenever its files change.

The contract:

- A certificate and a key that cannot be used end the start with one sentence.
- Each worker looks at the files once a second, follows symbolic links, and reads both anew when one
  has changed. New connections get the new certificate, open ones go on.
- A replacement that cannot be used changes nothing: the log says why, once for each change.
"""

from __future__ import annotations

import logging
import re
import ssl
import threading
from dataclasses import dataclass
from pathlib import Path

from service.errors import ServiceError
from service.settings import PREFIX, Settings

logger = logging.getLogger(__name__)

_INTERVAL_S = 1.0
_CERTIFICATE, _KEY, _PASSWORD = (f"{PREFIX}TLS_{name}" for name in ("CERT", "KEY", "KEY_PASSWORD"))
# OpenSSL itself says of a file without them `PEM lib`
_BEGINNINGS = {
    "certificate": re.compile(rb"-----BEGIN [A-Z0-9 ]*CERTIFICATE-----"),
    "key": re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
}
Version = tuple[tuple[int, int, int] | None, ...]


class TLSError(ServiceError):
    """The certificate or its key cannot be used."""

    type = "tls-error"
    title = "The certificate cannot be used"


@dataclass(frozen=True)
class CertificateFiles:
    """A certificate with its chain, and its key, as PEM files; both may be the same file."""

    certificate: Path
    key: Path
    password: str | None = None

    def version(self) -> Version:
        """What changes whenever one of the files is replaced or written."""
        return tuple(_version(path) for path in (self.certificate, self.key))

    def load(self) -> ssl.SSLContext:
        """Read both files.

        Raises
        ------
        TLSError
            One cannot be read, does not hold what it should, or they do not belong together.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        _check_holds(self.certificate, "certificate", _CERTIFICATE)
        _check_holds(self.key, "key", _KEY)
        try:
            context.load_cert_chain(self.certificate, self.key, self._read_password)
        except (ssl.SSLError, ValueError) as error:
            raise TLSError(self._describe(error)) from error
        return context

    def _read_password(self) -> str:
        if self.password is None:  # else OpenSSL would ask at the terminal
            raise TLSError(f"the key {self.key} is encrypted: set {_PASSWORD}")
        return self.password

    def _describe(self, error: Exception) -> str:
        reason = getattr(error, "reason", None) or str(error)
        if reason == "KEY_VALUES_MISMATCH":
            return f"the key {self.key} does not belong to the certificate {self.certificate}"
        if self.password is not None:
            reason += f" (or {_PASSWORD} is wrong)"
        return (
            f"the certificate {self.certificate} and the key {self.key} cannot be used: {reason}; "
            f"{_CERTIFICATE} and {_KEY} are files in PEM format, the certificate with its chain"
        )


def certificate_files(settings: Settings) -> CertificateFiles | None:
    """The files of the settings; None without TLS."""
    if settings.tls_cert is None:
        return None
    password = settings.tls_key_password
    return CertificateFiles(
        settings.tls_cert,
        settings.tls_key or settings.tls_cert,
        password.get_secret_value() if password else None,
    )


class Certificate:
    """The certificate of a server, which follows its files.

    Attributes
    ----------
    context : ssl.SSLContext
        For all connections of the server.

    Raises
    ------
    TLSError
        As `CertificateFiles.load` does.
    """

    def __init__(self, files: CertificateFiles) -> None:
        self._files = files
        self._version = files.version()
        self._current = self.context = files.load()
        self.context.sni_callback = self._choose  # called for clients that name no server, too

    def watch(self) -> None:
        """Follow the files from now on, on a thread."""
        threading.Thread(target=self._watch, name="certificate", daemon=True).start()

    def update(self) -> None:
        """Read the files again, if they have changed."""
        version = self._files.version()
        if version == self._version:
            return
        self._version = version
        try:
            self._current = self._files.load()
        except TLSError as error:
            logger.error("the certificate stays that of before: %s", error.detail)
        else:
            logger.warning("the certificate %s was read again", self._files.certificate)

    def _choose(self, connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        connection.context = self._current

    def _watch(self) -> None:
        pause = threading.Event()
        while not pause.wait(_INTERVAL_S):
            self.update()


def _version(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size


def _check_holds(path: Path, kind: str, setting: str) -> None:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise TLSError(f"{path} cannot be read ({error.strerror}); see {setting}") from error
    if not _BEGINNINGS[kind].search(content):
        raise TLSError(f"{path} holds no {kind} in PEM format: set {setting} to the file that does")
