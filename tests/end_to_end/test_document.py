"""The OpenAPI document says what the service does: schemathesis holds every route against it."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from litestar.openapi.spec import Schema
from requests.auth import AuthBase
from schemathesis.specs.openapi.checks import positive_data_acceptance

from loadtest.paint import Photograph, paint
from loadtest.servers.service import SECRET, Service, running, signed
from proxy.app.asgi import api_document
from proxy.app.wiring import build
from proxy.http.document.signature_headers import signature_headers
from proxy.settings.settings import Settings
from proxy.settings.sizes import SIZES_FILE, read_sizes
from tests.thorough import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from requests import PreparedRequest
    from schemathesis.checks import CheckFunction

EXAMPLES = count(40, otherwise=8)
"""How many requests are made up for each way to break or to keep to the document."""


class Signed(AuthBase):
    """Signs a request as it goes out: its body, or its method with its address where it has none.

    A request whose made up headers of a signature are not as the document has them stays as it is.
    """

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        if any(not re.search(pattern, str(request.headers.get(name, ""))) for name, pattern in SIGNATURE.items()):
            return request
        body = request.body if isinstance(request.body, bytes) else str(request.body or "").encode()
        content = body or f"{request.method} {request.path_url}".encode()
        with suppress(UnicodeDecodeError):  # such a body cannot be signed
            request.headers.update(signed(content))
        return request


def document() -> dict[str, Any]:
    """Give the document as a service with a file store serves it."""
    told = Settings(sizes=read_sizes(Path(SIZES_FILE)), webhook_secrets=SECRET)
    return api_document(build(told), told)


@pytest.fixture(
    scope="module",
    params=[
        "sqlite",
        pytest.param("redis", marks=pytest.mark.needs("redis-server", "redis-server")),
        pytest.param("postgres", marks=pytest.mark.needs("postgres", "postgresql")),
    ],
)
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Lend a service on each kind of queue in turn."""
    on_server = request.param != "sqlite"
    queue = {"QUEUE": request.getfixturevalue(f"{request.param}_server").make_database()} if on_server else {}
    with running(tmp_path_factory.mktemp("service"), QUEUE_SIZE="10", **queue) as one:
        (one.store / "gall/58").mkdir(parents=True)
        paint(one.store / "gall/58/58_1_original.jpg", Photograph(width=640, height=480))
        yield one


ACCEPTED = [200, 201, 202, 302, 401, 403, 404, 413, 422, 503]
"""Answers to requests that are as the document describes: no made up callback is allowed, no made up upload valid."""

REFUSED = [400, 401, 403, 404, 405, 413, 414, 422, 503]

LONG_SEGMENT, LONG_KEY = 240, 900
"""Bytes. The document bounds the characters of keys; file systems and stores bound their bytes."""

CONFIG = {
    "checks": {
        "positive_data_acceptance": {"expected-statuses": ACCEPTED},
        "negative_data_rejection": {"expected-statuses": REFUSED},
        "not_a_server_error": {"expected-statuses": ["2xx", "3xx", "4xx", 503]},  # the queue is full
    },
    "operations": [
        {  # the forms of events are not in the document
            "include-operation-id": "postEvents",
            "checks": {"positive_data_acceptance": {"expected-statuses": [*ACCEPTED, 400]}},
        }
    ],
}

SIGNATURE = {
    one.name: str(one.schema.pattern) for one in signature_headers(required=True) if isinstance(one.schema, Schema)
}

schema = schemathesis.openapi.from_dict(document(), config=schemathesis.Config.from_dict(CONFIG))

made_up = settings(deadline=None, derandomize=True, database=None, suppress_health_check=[*HealthCheck])


@schema.parametrize()
@settings(made_up, max_examples=EXAMPLES)
def test_every_answer_is_as_the_document_says(case: schemathesis.Case[Any], service: Service) -> None:
    case.call_and_validate(base_url=service.url, auth=Signed(), excluded_checks=excluded(case))


@schema.parametrize()
@settings(made_up, max_examples=5)
def test_so_is_every_answer_to_a_stranger(case: schemathesis.Case[Any], service: Service) -> None:
    case.call_and_validate(base_url=service.url, excluded_checks=excluded(case))


def excluded(case: schemathesis.Case[Any]) -> list[CheckFunction]:
    """Return the checks that do not apply: a key with too many bytes may be refused, and 1.0 for a whole number."""
    body = case.body if isinstance(case.body, dict) else {}
    key = str({**body, **(case.path_parameters or {})}.get("key", "")).encode("utf-8", "replace")
    is_long = len(key) > LONG_KEY or max(map(len, key.split(b"/"))) > LONG_SEGMENT
    has_float = any(isinstance(value, float) for value in body.values())
    return [positive_data_acceptance] if is_long or has_float else []
