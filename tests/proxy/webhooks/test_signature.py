"""Webhook signatures."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from proxy.errors import BadSignature
from proxy.webhooks.signature import Signer, Verifier
from tests.clients.vectors import SignatureVector, read_vectors

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = "whsec_" + base64.b64encode(b"a secret of 24 bytes or more").decode()
OTHER = "whsec_" + base64.b64encode(b"another one of 24 bytes too!").decode()
THIRD = "whsec_" + base64.b64encode(b"and a third one of 24 bytes").decode()
BODY = b'{"key": "gall/1/1_1_original.jpg"}'


def signed(body: bytes = BODY, *, secret: str = SECRET, age: timedelta = timedelta()) -> dict[str, str]:
    at = datetime.now(tz=UTC) - age
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign("msg_1", at, body.decode()),
    }


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"webhook-id": ""}, "Missing: webhook-id;"),
        ({"webhook-id": "", "webhook-signature": ""}, "Missing: webhook-id, webhook-signature;"),
        ({"webhook-timestamp": "now"}, "webhook-timestamp must be seconds since 1970;"),
        ({"webhook-signature": "abc"}, "webhook-signature must be v1, a comma, and base64;"),
        ({"webhook-signature": "v1,a"}, "webhook-signature must be v1, a comma, and base64;"),
    ],
)
def test_the_header_that_is_wrong_is_named(changed: dict[str, str], reason: str) -> None:
    with pytest.raises(BadSignature) as refused:
        Verifier([SECRET]).verify(BODY, signed() | changed)
    assert str(refused.value).startswith(reason)


def test_a_body_that_is_no_text_is_named() -> None:
    with pytest.raises(BadSignature, match=r"^The body is not UTF-8;"):
        Verifier([SECRET]).verify(b"\xff\xfe", signed())


@pytest.mark.parametrize("vector", read_vectors().signatures, ids=lambda vector: vector.id)
def test_signatures_are_those_that_the_clients_compute(vector: SignatureVector) -> None:
    at = datetime.fromtimestamp(vector.timestamp, tz=UTC)
    headers = Signer([vector.secret]).headers(vector.content, message_id=vector.id, at=at)
    assert headers["webhook-signature"] == vector.signature


def test_a_signed_body_is_let_in() -> None:
    Verifier([SECRET]).verify(BODY, signed())


def test_while_a_secret_is_changed_both_are_good() -> None:
    verifier = Verifier([SECRET, OTHER])
    verifier.verify(BODY, signed(secret=SECRET))
    verifier.verify(BODY, signed(secret=OTHER))


def test_without_secrets_anybody_may_post() -> None:
    Verifier([]).verify(BODY, {})


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        pytest.param(BODY + b" ", signed, id="a body that was tampered with"),
        pytest.param(BODY, lambda: signed(secret=OTHER), id="a secret that is not known"),
        pytest.param(BODY, lambda: signed(age=timedelta(hours=1)), id="a message that is too old"),
        pytest.param(BODY, lambda: signed(age=timedelta(hours=-1)), id="a message from the future"),
        pytest.param(BODY, dict, id="no headers"),
        pytest.param(BODY, lambda: signed() | {"webhook-id": "msg_2"}, id="another id"),
        pytest.param(BODY, lambda: signed() | {"webhook-timestamp": "yesterday"}, id="a timestamp that is none"),
        pytest.param(BODY, lambda: signed() | {"webhook-signature": "v1,%%%"}, id="a signature that is not base64"),
        pytest.param(BODY, lambda: signed() | {"webhook-signature": "nonsense"}, id="a signature without a version"),
        pytest.param(b"\xff\xfe", signed, id="a body that is not text"),
    ],
)
def test_a_stranger_is_kept_out(body: bytes, headers: Callable[[], dict[str, str]]) -> None:
    with pytest.raises(BadSignature):
        Verifier([SECRET]).verify(body, headers())


@pytest.mark.parametrize("age", [timedelta(hours=1), timedelta(hours=-1)])
def test_a_clock_that_is_wrong_is_named(age: timedelta) -> None:
    with pytest.raises(
        BadSignature, match=r"webhook-timestamp must be within 5 minutes .* set the clock of the sender"
    ):
        Verifier([SECRET]).verify(BODY, signed(age=age))


@given(signature=st.text(max_size=200))
def test_no_made_up_signature_gets_in_or_breaks_the_verifier(signature: str) -> None:
    with pytest.raises(BadSignature):
        Verifier([SECRET]).verify(BODY, signed() | {"webhook-signature": signature})


@given(body=st.text(max_size=200), message_id=st.from_regex(r"[0-9a-f-]{1,50}", fullmatch=True))
def test_what_is_signed_here_is_verified_with_any_one_of_the_secrets(body: str, message_id: str) -> None:
    headers = Signer([SECRET, OTHER]).headers(body, message_id=message_id, at=datetime.now(tz=UTC))
    assert headers["webhook-id"] == message_id
    for secret in (SECRET, OTHER):
        Verifier([secret]).verify(body.encode(), headers)
        with pytest.raises(BadSignature):
            Verifier([secret]).verify(body.encode() + b" ", headers)
    with pytest.raises(BadSignature):
        Verifier([THIRD]).verify(body.encode(), headers)
