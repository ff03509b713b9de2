"""A queue on a Redis that accepts only TLS."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from proxy.errors import QueueUnavailable
from proxy.queues.factory import open_queue
from tests import servers
from tests.proxy.queues.asking import take

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers import RedisServer

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.needs("redis-server", "redis-server"),
    pytest.mark.needs("openssl", "openssl"),
]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the path of a self-signed certificate for the loopback address; its key is next to it."""
    path = tmp_path_factory.mktemp("tls") / "redis.crt"
    made = ("-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    named = ("-subj", "/CN=redis", "-addext", "subjectAltName=IP:127.0.0.1")
    files = ("-keyout", path.with_suffix(".key"), "-out", path)
    subprocess.run(("openssl", "req", *made, *named, *files), check=True, capture_output=True)
    return path


@pytest.fixture(scope="module")
def secure(certificate: Path) -> Iterator[RedisServer]:
    with servers.running_redis(certificate=certificate) as server:
        yield server


async def test_jobs_travel_by_tls_where_the_url_names_the_authority(secure: RedisServer, certificate: Path) -> None:
    queue = open_queue(f"{secure.make_database()}?ssl_ca_certs={certificate}", name="images")
    await queue.connect()
    await queue.enqueue("paint", key="a")
    assert (await take(queue)).key == "a"
    await queue.disconnect()


async def test_an_unknown_authority_is_not_trusted_and_the_sentence_says_how_to_name_it(secure: RedisServer) -> None:
    queue = open_queue(secure.make_database(), name="images")
    with pytest.raises(QueueUnavailable, match=r"self-signed certificate.*\?ssl_ca_certs=<file>"):
        await queue.connect()
    await queue.disconnect()


async def test_a_certificate_of_another_host_is_not_trusted(secure: RedisServer, certificate: Path) -> None:
    url = secure.make_database().replace("127.0.0.1", "localhost")
    queue = open_queue(f"{url}?ssl_ca_certs={certificate}", name="images")
    with pytest.raises(QueueUnavailable, match="certificate is not valid for 'localhost'"):
        await queue.connect()
    await queue.disconnect()
