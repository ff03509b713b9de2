"""Every part that the service depends on is used, and every fault is named at once."""

from __future__ import annotations

import fcntl
import socket
import time
from typing import TYPE_CHECKING

import pytest

from loadtest.servers.ports import free_port
from proxy.app.connect import probe_parts
from proxy.settings.settings import Settings
from proxy.stores.certificates import BUNDLES
from proxy.system.scratch import scratch_place
from tests.proxy.stores import seaweed
from tests.proxy.stores.scripted import Scripted, answer, refusal
from tests.proxy.stores.tls import self_signed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

pytestmark = pytest.mark.anyio

WORKS = {"store": None, "queue": None, "scratch": None, "renderers": None}


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tmp").mkdir()
    use_tmpdir(monkeypatch, tmp_path / "tmp")


def use_tmpdir(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", None)  # Python remembers the last one


def on_files(folder: Path, **more: object) -> Settings:
    return Settings(**{"store": f"file://{folder}/store", "queue": f"sqlite:///{folder}/queue.db", **more})  # type: ignore[arg-type] # strings for strings


async def faults(settings: Settings, *, seconds: float = 10.0) -> Mapping[str, str | None]:
    return (await probe_parts(settings, seconds=seconds)).faults


async def test_parts_that_work_have_no_fault_and_are_left_as_they_were(tmp_path: Path) -> None:
    assert await faults(on_files(tmp_path)) == WORKS
    assert not [*(tmp_path / "tmp").glob("gf-images-*/work/*")]


async def test_a_cdn_is_a_part_that_purges_the_url_of_the_write_probe(tmp_path: Path) -> None:
    async with Scripted(answer(200), answer(403)) as cache:
        purge = {"cdn_purge": f"url:{cache.url}{{path}}", "public_base_url": "https://cdn.example.org/a"}
        assert await faults(on_files(tmp_path, **purge)) == {**WORKS, "cdn": None}
        said = str((await faults(on_files(tmp_path, **purge)))["cdn"])
    assert said.startswith("CDN_PURGE: The cache of CDN_PURGE responded to PURGE with 403")
    (seen, _) = cache.seen
    assert (seen.method, seen.target) == ("PURGE", "/a/gallformers-images/write-probe")
    assert seen.headers["host"] == "cdn.example.org"


async def test_all_faults_are_named_at_once_with_setting_path_and_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.touch()
    use_tmpdir(monkeypatch, file)
    found = await faults(on_files(file))
    assert str(found["store"]).startswith(f"STORE: {file} is not a directory (ENOTDIR)")
    assert str(found["queue"]).startswith(f"QUEUE: {file} is not a directory (")
    assert str(found["scratch"]).startswith(f"TMPDIR: {file} is not a directory (ENOTDIR)")


async def test_a_queue_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "queue.db").write_text("This is no database, however long it is read.")
    assert str((await faults(on_files(tmp_path)))["queue"]).startswith(f"QUEUE: {tmp_path}/queue.db is not a queue")


@pytest.mark.parametrize("scheme", ["redis", "postgresql"])
async def test_a_server_that_refuses_connections_is_named_without_the_password(tmp_path: Path, scheme: str) -> None:
    port = free_port()
    found = await faults(on_files(tmp_path, queue=f"{scheme}://user:hunter2@127.0.0.1:{port}/0"))
    said = str(found.pop("queue"))  # type: ignore[attr-defined] # a dictionary
    address = f"{scheme}://user:***@127.0.0.1:{port}/0"
    assert said.startswith(f"QUEUE: {address} cannot be reached: Connection refused (ECONNREFUSED); start that server")
    assert "hunter2" not in said
    assert set(found.values()) == {None}


@pytest.fixture
def silent() -> Iterator[int]:
    """Yield the port of a server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        yield server.getsockname()[1]


BUCKET = {"store": "s3://images", "aws_region": "us-east-1", "s3_addressing": "path", "public_base_url": "/x"}


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", seaweed.ADMIN.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", seaweed.ADMIN.secret_access_key)


@pytest.mark.usefixtures("credentials")
async def test_servers_that_never_answer_are_named_in_time(tmp_path: Path, silent: int) -> None:
    url = f"http://127.0.0.1:{silent}"
    settings = on_files(tmp_path, **BUCKET, s3_endpoint_url=url, queue=f"redis://127.0.0.1:{silent}/0")
    began = time.monotonic()
    found = await faults(settings, seconds=2)
    assert time.monotonic() - began < 10
    assert found["store"] == f"STORE: bucket images at {url}: no response within 2 s"
    assert str(found["queue"]).startswith("QUEUE: 127.0.0.1: no response within 2 s")


async def test_a_scratch_folder_that_is_not_safe_is_named_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_tmpdir(monkeypatch, tmp_path / "tmp")
    scratch_place().mkdir()
    scratch_place().chmod(0o777)  # anybody may write to it
    found = await faults(on_files(tmp_path))
    assert str(found["scratch"]).startswith("TMPDIR: the scratch folder is not safe to use: ")


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize("host", ["127.0.0.1", "nowhere.invalid"])
async def test_an_endpoint_that_cannot_be_reached_is_named(tmp_path: Path, host: str) -> None:
    url = f"http://{host}:{free_port()}"
    found = await faults(on_files(tmp_path, **BUCKET, s3_endpoint_url=url), seconds=3)
    assert str(found["store"]).startswith(f"S3_ENDPOINT_URL: {url} cannot be reached: ")
    assert str(found["store"]).endswith("(ECONNREFUSED)" if host == "127.0.0.1" else ")")


@pytest.mark.usefixtures("credentials")
async def test_a_bucket_is_used_with_its_credentials_and_its_origin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weed: seaweed.Seaweed
) -> None:
    bucket = {**BUCKET, "store": f"s3://{seaweed.BUCKET}", "s3_endpoint_url": weed.url, "s3_acl": ""}
    assert await faults(on_files(tmp_path, **bucket)) == WORKS
    origin = f"127.0.0.1:{free_port()}"
    found = await faults(on_files(tmp_path, **bucket, originals_base_url=f"http://u:hunter2@{origin}"), seconds=5)
    said = str(found["store"])
    assert said.startswith(f"ORIGINALS_BASE_URL: http://u:***@{origin} cannot be reached: ")
    assert said.endswith("(ECONNREFUSED)")
    said = str((await faults(on_files(tmp_path, **{**bucket, "store": "s3://nowhere"})))["store"])
    assert said.startswith(f"STORE: The bucket nowhere at {weed.url} ")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    said = str((await faults(on_files(tmp_path, **bucket)))["store"])
    assert said.startswith(
        f"STORE: The bucket {seaweed.BUCKET} at {weed.url} rejected the request: SignatureDoesNotMatch (403)"
    )
    assert "AWS_SECRET_ACCESS_KEY" in said
    assert "hunter2" not in said


@pytest.mark.usefixtures("credentials")
async def test_a_bucket_that_browsers_cannot_read_is_named_with_its_public_url(
    tmp_path: Path, weed: seaweed.Seaweed
) -> None:
    bucket = {**BUCKET, "s3_endpoint_url": weed.url, "public_base_url": f"{weed.url}/{seaweed.BUCKET}"}
    said = str((await faults(on_files(tmp_path, **{**bucket, "store": f"s3://{seaweed.BUCKET}"})))["store"])
    assert said.startswith(f"PUBLIC_BASE_URL: {weed.url} responds with 403")
    assert "is not public there" in said
    public = {"store": f"s3://{seaweed.PUBLIC_BUCKET}", "public_base_url": f"{weed.url}/{seaweed.PUBLIC_BUCKET}"}
    assert await faults(on_files(tmp_path, **{**bucket, **public})) == WORKS
    nobody = f"http://127.0.0.1:{free_port()}"
    said = str((await faults(on_files(tmp_path, **{**bucket, **public, "public_base_url": nobody})))["store"])
    assert said.startswith(f"PUBLIC_BASE_URL: {nobody} cannot be reached")
    assert said.endswith("(ECONNREFUSED)")
    stream = {"public_base_url": nobody, "delivery": "stream"}
    assert await faults(on_files(tmp_path, **{**bucket, **public, **stream})) == WORKS


@pytest.mark.parametrize("origin", [False, True])
async def test_credentials_that_only_put_are_enough_with_an_origin_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weed: seaweed.Seaweed, *, origin: bool
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", seaweed.WRITER.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", seaweed.WRITER.secret_access_key)
    url = f"{weed.url}/{seaweed.PUBLIC_BUCKET}"
    bucket = {**BUCKET, "store": f"s3://{seaweed.PUBLIC_BUCKET}", "s3_endpoint_url": weed.url, "public_base_url": url}
    found = (await faults(on_files(tmp_path, **bucket, **({"originals_base_url": url} if origin else {}))))["store"]
    if origin:
        assert found is None
        return
    assert str(found).startswith("STORE: The credentials can write but not read")
    assert f"bucket {seaweed.PUBLIC_BUCKET} at {weed.url}" in str(found)
    assert "ORIGINALS_BASE_URL" in str(found)
    assert "AccessDenied (403)" in str(found)


@pytest.mark.usefixtures("credentials")
async def test_a_region_that_is_wrong_is_named_with_the_buckets_own_words(tmp_path: Path) -> None:
    said = "The authorization header is malformed; expecting 'eu-west-1'"
    async with Scripted(refusal(400, "AuthorizationHeaderMalformed", said)) as server:
        found = str((await faults(on_files(tmp_path, **BUCKET, s3_endpoint_url=server.url)))["store"])
    assert f"AuthorizationHeaderMalformed (400): {said}." in found
    assert "AWS_REGION" in found


@pytest.mark.usefixtures("credentials")
@pytest.mark.needs("openssl", "openssl")
async def test_a_certificate_that_is_not_trusted_is_named_with_host_and_issuer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in BUNDLES:
        monkeypatch.delenv(name, raising=False)
    tls = self_signed(tmp_path / "server.crt")
    async with Scripted(answer(200, b"gallformers-images write probe"), tls=tls) as server:
        found = str((await faults(on_files(tmp_path, **BUCKET, s3_endpoint_url=server.url)))["store"])
        host = f"127.0.0.1:{server.port}"
    assert f"The certificate of {host}, issued by Made Up, Some Authority, is not trusted" in found


async def test_a_probe_that_hangs_in_a_thread_keeps_nobody_waiting(tmp_path: Path) -> None:
    """A lock that is held stands for a disk that hangs: neither can be cancelled."""
    lock = tmp_path / "store" / "\x7fgallformers" / "locks" / "writers"
    lock.parent.mkdir(parents=True)
    with lock.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        results = await probe_parts(on_files(tmp_path), seconds=3)
        assert results.is_late
        assert results.faults["store"] == f"STORE: {tmp_path}/store: no response within 3 s"
