"""The catalogue of problem types has every code, with the statuses that responses have."""

from __future__ import annotations

import pytest

from proxy.http.problem_catalog import RETRIES, catalog
from tests.test_names import error_codes

BY_THE_SERVER = {
    "address-too-long",
    "bad-address",
    "bad-request",
    "head-too-large",
    "malformed-request",
    "method-not-allowed",
    "request-entity-too-large",
    "several-hosts",
    "transfer-encoding",
    "unknown-method",
}
"""Codes of requests that no route sees, or that Litestar refuses."""


def test_it_has_every_error_code_and_no_other() -> None:
    assert set(catalog()) == error_codes() | BY_THE_SERVER


@pytest.mark.parametrize(
    ("code", "statuses", "title"),
    [
        ("bad-key", (400,), "Invalid key"),
        ("unknown-size", (404, 422), "Unknown size"),
        ("taken-down", (404, 409), "Original was taken down"),
        ("process-died", (500,), "Rendering failed"),
        ("too-many-frames", (422,), "Original cannot be rendered"),
        ("head-too-large", (431,), "Request head too large"),
        ("internal", (500,), "Internal error"),
        ("cancelled", (), "Cancelled"),
    ],
)
def test_a_type_has_the_title_and_the_statuses_of_responses(code: str, statuses: tuple[int, ...], title: str) -> None:
    kind = catalog()[code]
    assert (kind.statuses, kind.title, kind.path) == (statuses, title, f"/problems/{code}")


def test_every_type_says_what_it_means_what_to_do_and_whether_to_retry() -> None:
    for kind in catalog().values():
        assert kind.meaning.endswith(".")
        assert kind.remedy.endswith(".")
        assert RETRIES[kind.retry]
