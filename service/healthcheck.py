"""`python -m service.healthcheck`: exits with 0 where the service in this container is alive.

It asks `/healthz` on the port, 8000 by default, with TLS where the service has it. A certificate
names the service as its clients know it, and no loopback address: it is not checked.
"""

from __future__ import annotations

import os
import ssl
import sys
from urllib.request import urlopen

_TIMEOUT_S = 4.0
_TLS = "LRPSERVE_TLS_CERT"


def check(port: int) -> None:
    """Ask a service on this machine whether it is alive.

    Raises
    ------
    OSError
        It does not respond in time, or is broken.
    """
    context, scheme = None, "http"
    if os.environ.get(_TLS):
        scheme, context = "https", ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    urlopen(  # noqa: S310  the scheme is one of these two
        f"{scheme}://127.0.0.1:{port}/healthz", timeout=_TIMEOUT_S, context=context
    ).close()


if __name__ == "__main__":
    try:
        check(int(sys.argv[1]) if len(sys.argv) > 1 else 8000)
    except OSError as error:
        sys.exit(f"the service is not alive: {error}")
