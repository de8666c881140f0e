"""Pages of other origins: a web server of their own, with nothing but the page."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


class Site:
    """A site of one page, which can be written after the site has its address."""

    def __init__(self, port: int) -> None:
        self.origin, self.page = f"http://127.0.0.1:{port}", ""


@contextmanager
def serving_site() -> Iterator[Site]:
    """Serve a site on a free port, which makes it an origin of its own."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_page = self.path == "/"
            self.send_response(200 if is_page else 204)  # a browser also asks for an icon
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(site.page.encode() if is_page else b"")

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        site = Site(server.server_port)
        thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield site
        server.shutdown()
        thread.join()
