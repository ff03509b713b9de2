"""The OpenAPI document says what the service does: schemathesis holds every route against it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from requests.auth import AuthBase

from loadtest.paint import Photograph, paint
from loadtest.service import Service, running, signed
from proxy.app.asgi import routes
from proxy.app.wiring import build
from proxy.settings.settings import Settings
from proxy.settings.sizes import SIZES_FILE, read_sizes
from tests.thorough import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from requests import PreparedRequest

EXAMPLES = count(40, otherwise=8)
"""How many requests are made up for each way to break or to keep to the document."""


class Signed(AuthBase):
    """Signs a request as it goes out: its body, or its method with its address where it has none."""

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        body = request.body if isinstance(request.body, bytes) else str(request.body or "").encode()
        content = body or f"{request.method} {request.path_url}".encode()
        with suppress(UnicodeDecodeError):  # such a body cannot be signed
            request.headers.update(signed(content))
        return request


def document() -> dict[str, Any]:
    """Give the document as a service with a file store serves it."""
    told = Settings(sizes=read_sizes(Path(SIZES_FILE)))
    return routes(build(told), told).openapi_schema.to_schema()


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


CHECKS = {
    # What may be a key, or where callbacks may go, is more than a pattern in the document could say: 400 or 422 is an
    # answer to any made up one. No made up URL of an upload is valid.
    "positive_data_acceptance": {"expected-statuses": [200, 201, 202, 302, 400, 401, 403, 404, 413, 422, 503]}
}

schema = schemathesis.openapi.from_dict(document(), config=schemathesis.Config.from_dict({"checks": CHECKS}))

made_up = settings(deadline=None, derandomize=True, database=None, suppress_health_check=[*HealthCheck])


@schema.parametrize()
@settings(made_up, max_examples=EXAMPLES)
def test_every_answer_is_as_the_document_says(case: schemathesis.Case[Any], service: Service) -> None:
    case.call_and_validate(base_url=service.url, auth=Signed())


@schema.parametrize()
@settings(made_up, max_examples=5)
def test_so_is_every_answer_to_a_stranger(case: schemathesis.Case[Any], service: Service) -> None:
    case.call_and_validate(base_url=service.url)
