"""What requests without a body sign."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from proxy.http.protocol.signed_address import signed_addresses

if TYPE_CHECKING:
    from litestar.types import HTTPScope


def scope(raw_path: bytes, query: bytes = b"") -> HTTPScope:
    return cast("HTTPScope", {"method": "DELETE", "raw_path": raw_path, "query_string": query})


def test_the_address_as_it_came_is_the_first() -> None:
    assert signed_addresses(scope(b"/v1/a%c3%A9", b"x=1"))[0] == b"DELETE /v1/a%c3%A9?x=1"


@pytest.mark.parametrize(
    ("came", "signed"),
    [
        (b"/v1/%C3%A9", b"/v1/%c3%a9"),
        (b"/v1/%c3%a9", b"/v1/%C3%A9"),
        (b"/v1/~a", b"/v1/%7Ea"),
        (b"/v1/~a", b"/v1/%7ea"),
        (b"/v1/%7Ea", b"/v1/~a"),
        (b"/v1/%61", b"/v1/a"),
        (b"/v1/~%c3", b"/v1/%7E%C3"),
    ],
)
def test_other_spellings_of_one_address_count_as_it(came: bytes, signed: bytes) -> None:
    assert b"DELETE " + signed in signed_addresses(scope(came))


@pytest.mark.parametrize("other", [b"/v1/a/b", b"/v1/a%2Fb ", b"/v1/A%2fb", b"/v1/a"])
def test_another_address_never_does(other: bytes) -> None:
    assert b"DELETE " + other not in signed_addresses(scope(b"/v1/a%2Fb"))


def test_the_path_that_a_proxy_stripped_counts_as_part_of_it() -> None:
    assert signed_addresses(scope(b"/v1/a"), "/images")[0] == b"DELETE /images/v1/a"
