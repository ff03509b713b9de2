"""Who posted this."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from proxy.errors import BadSignature
from proxy.signature import Verifier

SECRET = "whsec_" + base64.b64encode(b"a secret of 24 bytes or more").decode()
OTHER = "whsec_" + base64.b64encode(b"another one of 24 bytes too!").decode()
BODY = b'{"key": "gall/1/1_1_original.jpg"}'


def signed(body: bytes = BODY, *, secret: str = SECRET, age: timedelta = timedelta()) -> dict[str, str]:
    at = datetime.now(tz=UTC) - age
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign("msg_1", at, body.decode()),
    }


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
        pytest.param(BODY + b" ", signed(), id="a body that was tampered with"),
        pytest.param(BODY, signed(secret=OTHER), id="a secret that is not known"),
        pytest.param(BODY, signed(age=timedelta(hours=1)), id="a message that is too old"),
        pytest.param(BODY, signed(age=timedelta(hours=-1)), id="a message from the future"),
        pytest.param(BODY, {}, id="no headers"),
        pytest.param(BODY, signed() | {"webhook-id": "msg_2"}, id="another id"),
        pytest.param(BODY, signed() | {"webhook-timestamp": "yesterday"}, id="a timestamp that is none"),
        pytest.param(BODY, signed() | {"webhook-signature": "v1,%%%"}, id="a signature that is not base64"),
        pytest.param(BODY, signed() | {"webhook-signature": "nonsense"}, id="a signature without a version"),
        pytest.param(b"\xff\xfe", signed(), id="a body that is not text"),
    ],
)
def test_a_stranger_is_kept_out(body: bytes, headers: dict[str, str]) -> None:
    with pytest.raises(BadSignature):
        Verifier([SECRET]).verify(body, headers)


@given(signature=st.text(max_size=200))
def test_no_made_up_signature_gets_in_or_breaks_the_verifier(signature: str) -> None:
    with pytest.raises(BadSignature):
        Verifier([SECRET]).verify(BODY, signed() | {"webhook-signature": signature})
