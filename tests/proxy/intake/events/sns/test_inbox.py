"""Messages of SNS are opened if SNS has signed them, and a subscription is confirmed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import httpx
import msgspec
import pytest
from structlog.testing import capture_logs

from proxy.errors import BadEvent, BadSignature, SnsUnreachable
from proxy.intake.events.sns.inbox import MAX_FETCHED_BYTES, SnsInbox
from tests.proxy.intake.events.sns.conftest import CERTIFICATE_URL, NAMES

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.proxy.intake.events.sns.conftest import Sns

pytestmark = pytest.mark.anyio

EVENT = '{"Records": []}'
CONFIRM = "https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription&Token=2336412f37"
ABOUT_SUBSCRIPTION = ("SubscriptionConfirmation", "UnsubscribeConfirmation")


class Web:
    """What is at the hosts of SNS; it notes what is fetched."""

    def __init__(self, sns: Sns) -> None:
        self.fetched: list[str] = []
        self.answer: Callable[[], httpx.Response] = lambda: httpx.Response(200, content=sns.certificate)

    def inbox(self) -> SnsInbox:
        return SnsInbox(transport=httpx.MockTransport(self._fetch))

    def _fetch(self, request: httpx.Request) -> httpx.Response:
        self.fetched.append(str(request.url))
        return self.answer()


@pytest.fixture
def web(sns: Sns) -> Web:
    return Web(sns)


def encoded(message: dict[str, str]) -> bytes:
    return msgspec.json.encode(message)


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("subject", [{}, {"Subject": "Amazon S3 Notification"}])
async def test_a_notification_has_an_event_and_its_certificate_is_fetched_once(
    web: Web, sns: Sns, version: Literal["1", "2"], subject: dict[str, str]
) -> None:
    inbox = web.inbox()
    message = encoded(sns.message("Notification", EVENT, version=version, UnsubscribeURL="https://x", **subject))
    assert [await inbox.open(message) for _ in range(2)] == [EVENT.encode()] * 2
    assert web.fetched == [CERTIFICATE_URL]


async def test_a_subscription_is_confirmed_by_fetching_its_url(web: Web, sns: Sns) -> None:
    message = sns.message("SubscriptionConfirmation", "You have chosen", Token="2336412f37", SubscribeURL=CONFIRM)
    with capture_logs() as logs:
        assert await web.inbox().open(encoded(message)) is None
    assert web.fetched == [CERTIFICATE_URL, CONFIRM]
    assert [line["event"] for line in logs] == ["sns_subscription_confirmed"]


async def test_the_end_of_a_subscription_is_only_logged(web: Web, sns: Sns) -> None:
    message = sns.message("UnsubscribeConfirmation", "You have chosen", Token="2336412f37", SubscribeURL=CONFIRM)
    with capture_logs() as logs:
        assert await web.inbox().open(encoded(message)) is None
    assert web.fetched == [CERTIFICATE_URL]
    assert [line["event"] for line in logs] == ["sns_subscription_ended"]


@pytest.mark.parametrize("kind", ["Notification", *ABOUT_SUBSCRIPTION])
@pytest.mark.parametrize("field", ["Message", "MessageId", "Timestamp", "TopicArn", "Subject", "Token", "SubscribeURL"])
async def test_every_field_that_counts_is_signed(web: Web, sns: Sns, kind: str, field: str) -> None:
    message = sns.message(kind, EVENT, Subject="a", Token="b", SubscribeURL=CONFIRM)
    if field in NAMES[kind]:
        with pytest.raises(BadSignature):
            await web.inbox().open(encoded({**message, field: f"{message[field]}x"}))
        assert web.fetched == [CERTIFICATE_URL]


@pytest.mark.parametrize(
    "url",
    [
        "http://sns.us-east-1.amazonaws.com/a.pem",
        "https://sns.us-east-1.amazonaws.com.example.org/a.pem",
        "https://example.org/sns.us-east-1.amazonaws.com/a.pem",
        "https://sns.us-east-1.amazonaws.com@example.org/a.pem",
        "https://me@sns.us-east-1.amazonaws.com/a.pem",
        "https://sns.us-east-1.amazonaws.com:8443/a.pem",
        "https://evil.s3.amazonaws.com/a.pem",
        "https://sns.s3.us-east-1.amazonaws.com/a.pem",
        "https://sns.us-east-1.amazonaws.com\\@example.org/a.pem",
        "https://[::1/a.pem",
        "file:///etc/passwd",
        "",
    ],
)
async def test_nothing_is_fetched_from_other_hosts(web: Web, sns: Sns, url: str) -> None:
    with pytest.raises(BadSignature, match=r"sns\.<region>\.amazonaws\.com"):
        await web.inbox().open(encoded(sns.message("Notification", EVENT, SigningCertURL=url)))
    assert web.fetched == []
    message = sns.message("SubscriptionConfirmation", "You have chosen", Token="t", SubscribeURL=url)
    with pytest.raises(BadSignature, match=r"sns\.<region>\.amazonaws\.com"):
        await web.inbox().open(encoded(message))
    assert web.fetched == [CERTIFICATE_URL]


async def test_the_hosts_of_china_and_of_long_regions_are_hosts_of_sns(web: Web, sns: Sns) -> None:
    for host in ("sns.cn-north-1.amazonaws.com.cn", "sns.us-gov-west-1.amazonaws.com"):
        message = sns.message("Notification", EVENT, SigningCertURL=f"https://{host}/a.pem")
        assert await web.inbox().open(encoded(message)) == EVENT.encode()


def unreachable() -> httpx.Response:
    raise httpx.ConnectError("refused")


@pytest.mark.parametrize(
    "answer",
    [
        unreachable,
        lambda: httpx.Response(404),
        lambda: httpx.Response(302, headers={"Location": "https://example.org/"}),
        lambda: httpx.Response(200, content=bytes(MAX_FETCHED_BYTES + 1)),
    ],
)
async def test_a_certificate_that_cannot_be_fetched_is_fetched_again_the_next_time(
    web: Web, sns: Sns, answer: Callable[[], httpx.Response]
) -> None:
    inbox, good, message = web.inbox(), web.answer, encoded(sns.message("Notification", EVENT))
    web.answer = answer
    with pytest.raises(SnsUnreachable):
        await inbox.open(message)
    web.answer = good
    assert await inbox.open(message) == EVENT.encode()


async def test_other_documents_are_returned_as_they_are(web: Web) -> None:
    for document in (
        EVENT.encode(),
        b"{}",
        b'{"Type": "Notification"}',
        b"",
        b"[]",
        b"\xff",
        b'{"a":' + b"[" * 100_000,
    ):
        assert await web.inbox().open(document) == document
    assert web.fetched == []


async def test_a_message_that_lacks_a_field_is_refused(web: Web) -> None:
    with pytest.raises(BadEvent, match="MessageId"):
        await web.inbox().open(b'{"Type": "Notification", "SignatureVersion": "2"}')


@pytest.mark.parametrize("change", [{"SignatureVersion": "3"}, {"Type": "Other"}])
async def test_an_unknown_kind_of_message_or_signature_is_refused(web: Web, sns: Sns, change: dict[str, str]) -> None:
    with pytest.raises(BadEvent):
        await web.inbox().open(encoded({**sns.message("Notification", EVENT), **change}))


async def test_a_signature_that_is_not_base64_is_refused(web: Web, sns: Sns) -> None:
    for signature in ("*", "é"):
        with pytest.raises(BadSignature):
            await web.inbox().open(encoded({**sns.message("Notification", EVENT), "Signature": signature}))
