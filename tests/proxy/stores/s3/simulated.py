"""A simulated S3, on a port of its own."""

from __future__ import annotations

from threading import Lock, Thread
from typing import TYPE_CHECKING
from urllib.request import Request, urlopen

import pytest
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from proxy.stores.s3.config import BucketConfig
from tests.proxy.stores.seaweed import BUCKET

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment


@pytest.fixture(scope="module")
def moto() -> Iterator[BucketConfig]:
    """Yield the configuration of a bucket on a simulated S3."""
    app = one_at_a_time(DomainDispatcherApplication(create_backend_app))
    with make_server("127.0.0.1", 0, app, threaded=True) as server:
        serving = Thread(target=server.serve_forever)
        serving.start()
        try:
            port = server.server_port
            with urlopen(Request(f"http://127.0.0.1:{port}/{BUCKET}", method="PUT"), timeout=10):
                pass
            yield BucketConfig(
                name=BUCKET, endpoint_url=f"http://127.0.0.1:{port}", region="us-east-1", addressing="path"
            )
        finally:
            server.shutdown()
            serving.join()


def one_at_a_time(app: WSGIApplication) -> WSGIApplication:
    """Return an application that finishes each request before the next: moto checks a condition, then writes."""
    lock = Lock()

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        with lock:
            return [*app(environ, start_response)]

    return answer
