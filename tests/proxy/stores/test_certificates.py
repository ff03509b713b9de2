"""Certificates that are trusted, and those that are not."""

from __future__ import annotations

import ssl
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from proxy.errors import StoreRefused, Untrusted
from proxy.stores.certificates import BUNDLES, trust_bundles, with_issuer
from proxy.stores.s3.config import BucketConfig
from proxy.stores.s3.public_read import read_public
from tests.proxy.stores.blobs import ATTRIBUTES
from tests.proxy.stores.origin.test_store import reader
from tests.proxy.stores.s3.s3_stores import at, opened
from tests.proxy.stores.scripted import Scripted, answer
from tests.proxy.stores.tls import self_signed

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.anyio, pytest.mark.needs("openssl", "openssl")]

OK = answer(200, ETag='"abc"')


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    return tmp_path / "server.crt"


@pytest.fixture
def tls(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """Return the context of a server with that certificate, which nobody trusts yet."""
    for name in BUNDLES:
        monkeypatch.delenv(name, raising=False)
    return self_signed(certificate)


async def test_a_stranger_is_refused_at_once_with_its_host_by_bucket_and_origin(
    tls: ssl.SSLContext, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"bytes")
    async with Scripted(OK, tls=tls) as server, opened(at(server)) as bucket, reader(server) as origin:
        for asked in (bucket.put("a", tmp_path / "file", ATTRIBUTES), bucket.check(), origin.head("a")):
            with pytest.raises(Untrusted, match=f"127.0.0.1:{server.port} is not trusted: self-signed.*AWS_CA_BUNDLE"):
                await asked
        assert server.seen == []


async def test_the_issuer_of_a_stranger_is_named(tls: ssl.SSLContext) -> None:
    async with Scripted(OK, tls=tls) as server, opened(at(server)) as bucket:
        with pytest.raises(Untrusted) as raised:
            await bucket.check()
        fault = await with_issuer(raised.value)
    assert "issued by Made Up, Some Authority, is not trusted" in str(fault)


async def test_a_server_that_is_gone_has_no_issuer() -> None:
    fault = Untrusted("The certificate of a.test:443 is not trusted.", host="127.0.0.1", port=1)
    assert str(await with_issuer(fault)) == str(fault)


@pytest.mark.parametrize("name", BUNDLES)
async def test_each_variable_serves_bucket_and_origin(
    tls: ssl.SSLContext, certificate: Path, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"bytes")
    monkeypatch.setenv(name, str(certificate))
    async with AsyncExitStack() as held:
        server = await held.enter_async_context(Scripted(OK, answer(404), tls=tls))
        bucket = await held.enter_async_context(opened(replace(at(server), acl="")))
        origin = await held.enter_async_context(reader(server))
        assert (await bucket.put("a", tmp_path / "file", ATTRIBUTES)).etag == "abc"
        assert await origin.head("a") is None


@pytest.mark.parametrize("name", BUNDLES)
async def test_each_variable_serves_the_public_url(
    tls: ssl.SSLContext, certificate: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Scripted(answer(200, b"bytes"), tls=tls) as server:
        with pytest.raises(Untrusted, match=f"127.0.0.1:{server.port} is not trusted"):
            await read_public(f"{server.url}/a")
        monkeypatch.setenv(name, str(certificate))
        assert await read_public(f"{server.url}/a") == b"bytes"


@pytest.mark.parametrize("content", [None, "not a certificate"])
async def test_a_bundle_that_cannot_be_read_is_named(
    content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if content is not None:
        (tmp_path / "bundle.pem").write_text(content)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "bundle.pem"))
    named = r"^AWS_CA_BUNDLE: .*bundle\.pem cannot be used"
    with pytest.raises(StoreRefused, match=named):
        trust_bundles(ssl.create_default_context())
    async with opened(BucketConfig(name="images", endpoint_url="https://127.0.0.1:1", region="us-east-1")) as bucket:
        with pytest.raises(StoreRefused, match=named):
            await bucket.check()
