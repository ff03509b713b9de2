"""The URLs of uploads."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest

from proxy.errors import BadUploadUrl, UploadUrlEnded
from proxy.intake.uploads.order import UploadOrder
from proxy.intake.uploads.urls import URL_SECONDS, UploadUrls

FIRST, SECOND = "whsec_" + "YQ" * 16, "whsec_" + "Yg" * 16

ORDER = UploadOrder(key="gall/é #+%/1_1_original.jpg", callback_url="https://example.org/a?b=c", replace=True)


def token(urls: UploadUrls, order: UploadOrder = ORDER, message_id: str | None = None) -> str:
    return urls.issue(order, message_id=message_id, ordered_at=1).url.rpartition("/")[2]


def test_a_url_has_the_whole_order_and_ends_after_minutes() -> None:
    now = [1_000_000.0]
    urls = UploadUrls([FIRST], base_url="https://images.test/base", clock=lambda: now[0])
    issued = urls.issue(ORDER, message_id=None, ordered_at=1)
    assert issued.url.startswith("https://images.test/base/v1/uploads/")
    assert issued.expires_at == now[0] + URL_SECONDS
    last = issued.url.rpartition("/")[2]
    assert urls.read(last).order == ORDER
    now[0] += URL_SECONDS
    with pytest.raises(UploadUrlEnded, match="has expired; order another"):
        urls.read(last)


def test_any_process_with_the_secret_accepts_it_also_during_a_rotation() -> None:
    issued = token(UploadUrls([FIRST]))
    assert UploadUrls([SECOND, FIRST]).read(issued).order == ORDER
    for other in (UploadUrls([SECOND]), UploadUrls([FIRST], origin="https://elsewhere.test"), UploadUrls([])):
        with pytest.raises(BadUploadUrl):
            other.read(issued)


def test_without_secrets_a_url_is_valid_for_the_process_that_issued_it() -> None:
    urls = UploadUrls([])
    assert urls.read(token(urls)).order == ORDER
    with pytest.raises(BadUploadUrl):
        UploadUrls([]).read(token(urls))


def test_the_same_message_gets_urls_of_one_use() -> None:
    urls = UploadUrls([FIRST])
    ids = [urls.read(token(urls, message_id=one)).id for one in ("a", "a", "b", None, None)]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 4


def test_the_longest_order_fits_into_an_address() -> None:
    order = UploadOrder(
        key="\u866b" * 341,
        sizes=tuple(f"size-{number}" for number in range(64)),
        callback_url="https://example.org/" + "a" * 2028,
        content_type="image/jpeg",
    )
    assert len(token(UploadUrls([FIRST]), order)) < 7 * 1024


def changed(issued: str) -> list[str]:
    payload, _, signature = issued.partition(".")
    plain = urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
    other = urlsafe_b64encode(plain.replace(b"1_1_original", b"2_1_original")).rstrip(b"=").decode()
    return [
        f"{other}.{signature}",
        f"{payload}.{signature[:-1]}",
        f"{payload}.",
        payload,
        f"{payload}=.{signature}",
        f".{signature}",
        "",
        "é.é",
        "..",
        f"{payload}.{signature}.",
    ]


@pytest.mark.parametrize("number", range(10))
def test_a_forged_url_is_refused_with_a_sentence(number: int) -> None:
    urls = UploadUrls([FIRST])
    with pytest.raises(BadUploadUrl, match=r"did not issue the upload URL.*order another"):
        urls.read(changed(token(urls))[number])
