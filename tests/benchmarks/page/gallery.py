"""A page of photographs as docs/pages.md describes it, on a server of its own."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from tests.clients.test_python import client

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SIZES = "(min-width: 45rem) 25vw, 100vw"

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Galls</title><link rel="icon" href="data:,">
<style>
body {{ margin: 1rem; font: 1rem sans-serif; background: #fff }}
main {{ display: grid; gap: 1rem; align-items: start }}
@media (min-width: 45rem) {{ main {{ grid-template-columns: repeat(4, minmax(0, 1fr)) }} }}
figure {{ margin: 0 }}
img {{ max-width: 100%; height: auto; display: block }}
</style></head>
<body><h1>Galls</h1><main>
{figures}
</main></body></html>
"""


def page(pictures: Sequence[dict[str, Any]], *, base: str, first: int = 1) -> bytes:
    """Return the HTML; `first` pictures are not lazy, and `base` is the URL of the service."""
    tags = [
        client.img(picture, alt=f"Gall {number}", sizes=SIZES, lazy=number >= first, base=base)
        for number, picture in enumerate(pictures)
    ]
    figures = [f"<figure>{tag}<figcaption>Gall {number}</figcaption></figure>" for number, tag in enumerate(tags)]
    return _PAGE.format(figures="\n".join(figures)).encode()


@contextmanager
def served(html: bytes) -> Iterator[str]:
    """Yield the URL at which a server answers every request with this page."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html; charset=utf-8")
            self.send_header("content-length", str(len(html)))
            self.send_header("cache-control", "no-cache")
            self.end_headers()
            self.wfile.write(html)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
