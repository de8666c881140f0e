"""A certificate authority for tests, and certificates of it in files."""

from __future__ import annotations

import ssl
from pathlib import Path

import trustme


class Authority:
    """Issues certificates for this machine into two files of a folder.

    Attributes
    ----------
    certificate, key : Path
        The files.
    trust : ssl.SSLContext
        Of a client that trusts it.
    """

    def __init__(self, folder: Path) -> None:
        self._authority = trustme.CA()
        self.certificate, self.key = folder / "tls.crt", folder / "tls.key"
        self.file = folder / "authority.pem"
        self._authority.cert_pem.write_to_path(str(self.file))
        self.trust = ssl.create_default_context(cafile=str(self.file))
        self.issue()

    @property
    def settings(self) -> dict[str, str]:
        """The settings of a server that has the files."""
        return {"LRPSERVE_TLS_CERT": str(self.certificate), "LRPSERVE_TLS_KEY": str(self.key)}

    def issue(self) -> None:
        """Issue a new certificate, and replace the files, the key first."""
        issued = self._authority.issue_cert("127.0.0.1", "localhost")
        chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
        self.replace(self.key, issued.private_key_pem.bytes())
        self.replace(self.certificate, chain)

    @staticmethod
    def replace(file: Path, content: bytes) -> None:
        """Replace a file at once, as those who renew certificates do."""
        new = file.with_suffix(".new")
        new.write_bytes(content)
        new.rename(file)

    def certificate_of(self, url: str) -> str:
        """The certificate, in PEM, that a new connection to a server gets."""
        host, port = url.removeprefix("https://").split(":")
        return ssl.get_server_certificate((host, int(port)), timeout=60)

    def serves(self, url: str) -> bool:
        """Whether a new connection to a server gets the certificate of the file."""
        return self.certificate.read_text().startswith(self.certificate_of(url))
