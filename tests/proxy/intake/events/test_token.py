"""The token of senders of events."""

from __future__ import annotations

from base64 import b64encode

import pytest

from proxy.errors import BadToken
from proxy.intake.events.token import check_token

TOKEN = "b5fe:x/+=y"


def basic(credentials: str) -> str:
    return f"Basic {b64encode(credentials.encode()).decode()}"


@pytest.mark.parametrize(
    ("authorization", "in_query"),
    [
        (f"Bearer {TOKEN}", None),
        (f"bearer  {TOKEN} ", None),
        (basic(f"anyone:{TOKEN}"), None),
        (basic(f":{TOKEN}"), None),
        (None, TOKEN),
        ("Bearer other", TOKEN),
    ],
)
def test_the_token_is_accepted_in_three_ways(authorization: str | None, in_query: str | None) -> None:
    check_token(TOKEN, authorization=authorization, in_query=in_query)


@pytest.mark.parametrize(
    ("authorization", "in_query"),
    [
        (None, None),
        ("", ""),
        ("Bearer", None),
        ("Bearer ", None),
        (f"Bearer {TOKEN}x", None),
        (TOKEN, None),
        (basic(TOKEN), None),
        (basic(f"{TOKEN}:"), None),
        ("Basic ***", None),
        ("Basic é", None),
        ("Bearer é", "é"),
        (f"Digest {TOKEN}", None),
    ],
)
def test_anything_else_is_refused(authorization: str | None, in_query: str | None) -> None:
    with pytest.raises(BadToken, match="EVENTS_TOKEN"):
        check_token(TOKEN, authorization=authorization, in_query=in_query)
