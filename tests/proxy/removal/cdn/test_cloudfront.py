"""What is particular to CloudFront: invalidations, their paths, permissions and credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import botocore.session
import pytest
from botocore.awsrequest import AWSResponse

from proxy.errors import CdnPurgeFailed, CdnPurgeRefused
from proxy.removal.cdn.cloudfront import COMPLETION_SECONDS, REGION, CloudFrontPurger, paths_of
from proxy.removal.cdn.invalidation_xml import error_code, invalidation_of, written
from proxy.stores.s3.signing import RequestSigner
from tests.proxy.removal.cdn.fake_apis import FakeCloudFront, cloudfront_error
from tests.proxy.removal.cdn.test_purgers import CHECKED, PICTURE, SITE
from tests.proxy.stores.scripted import answer

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

ALL_VERSIONS: Final = {f"{PICTURE[0]}?v=1", f"{PICTURE[0]}?v=2", PICTURE[0]}


@pytest.fixture(autouse=True)
def credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file of the credentials, which the fake accepts."""
    file = tmp_path / "credentials"
    write(file, "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "token")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return file


def write(file: Path, key: str, secret: str, token: str) -> None:
    names = (f"aws_access_key_id={key}", f"aws_secret_access_key={secret}", f"aws_session_token={token}")
    file.write_text("\n".join(["[default]", *names, ""]))


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0

    async def sleep(self, seconds: float) -> None:
        self.now += seconds

    def __call__(self) -> float:
        return self.now


def purger(fake: FakeCloudFront, *, clock: Clock | None = None, has_versions: bool = False) -> CloudFrontPurger:
    clock = clock or Clock()
    signer = RequestSigner(service="cloudfront", region=REGION)
    return CloudFrontPurger(
        "E1EXAMPLE",
        signer=signer,
        check_url=CHECKED,
        has_versions=has_versions,
        endpoint=fake.url,
        sleep=clock.sleep,
        clock=clock,
    )


async def test_a_purge_ends_only_when_its_invalidation_is_completed() -> None:
    async with FakeCloudFront(PICTURE, polls=4) as fake:
        await purger(fake).purge(PICTURE)
        assert fake.copies == set()
        assert [request.method for request in fake.requests] == ["POST", *["GET"] * 4]


async def test_an_invalidation_that_is_never_completed_may_be_retried() -> None:
    clock = Clock()
    async with FakeCloudFront(PICTURE, polls=10**6) as fake:
        with pytest.raises(CdnPurgeFailed, match="within 600 s"):
            await purger(fake, clock=clock).purge(PICTURE)
    assert clock.now == COMPLETION_SECONDS


async def test_each_purge_is_an_invalidation_of_its_own_and_all_checks_are_one() -> None:
    async with FakeCloudFront() as fake:
        one = purger(fake)
        await one.purge(PICTURE)
        await one.purge(PICTURE)
        await one.check()
        await purger(fake).check()
        assert len(fake.created) == 3


async def test_signed_requests_have_the_session_token() -> None:
    async with FakeCloudFront() as fake:
        await purger(fake).check()
        assert all(request.headers["x-amz-security-token"] == "token" for request in fake.requests)


@pytest.mark.parametrize(
    ("method", "permission"), [("POST", "cloudfront:CreateInvalidation"), ("GET", "cloudfront:GetInvalidation")]
)
async def test_the_missing_permission_is_named_by_the_check_too(method: str, permission: str) -> None:
    async with FakeCloudFront(PICTURE) as fake:
        fake.denied = {method}
        for use in (purger(fake).check(), purger(fake).purge(PICTURE)):
            with pytest.raises(CdnPurgeRefused, match=permission):
                await use


async def test_an_unknown_distribution_names_the_setting() -> None:
    async with FakeCloudFront(distribution="E2") as fake:
        with pytest.raises(CdnPurgeRefused, match=r"NoSuchDistribution, 404\): check the id in CDN_PURGE"):
            await purger(fake).check()


@pytest.mark.parametrize("code", ["TooManyInvalidationsInProgress", "Throttling"])
async def test_too_many_invalidations_may_be_retried(code: str) -> None:
    async with FakeCloudFront() as fake:
        fake.faults = [cloudfront_error(400, code)]
        with pytest.raises(CdnPurgeFailed, match=code):
            await purger(fake).purge(PICTURE)


async def test_without_credentials_the_settings_are_named(credentials: Path) -> None:
    credentials.unlink()
    async with FakeCloudFront() as fake:
        with pytest.raises(CdnPurgeRefused, match="AWS_ACCESS_KEY_ID"):
            await purger(fake).check()
        assert fake.requests == []


async def test_credentials_that_were_replaced_in_their_file_are_read_again(credentials: Path) -> None:
    async with FakeCloudFront(PICTURE) as fake:
        one = purger(fake)
        await one.check()
        fake.secrets = {"AKIDOTHER": "other"}
        write(credentials, "AKIDOTHER", "other", "newer")
        with pytest.raises(CdnPurgeFailed, match="others were found"):
            await one.purge(PICTURE)
        await one.purge(PICTURE)
        assert fake.copies == set()


@pytest.mark.parametrize(("has_versions", "most"), [(False, 200), (True, 15)])
async def test_an_invalidation_has_no_more_paths_than_cloudfront_allows(has_versions: bool, most: int) -> None:  # noqa: FBT001 - a parameter of the test
    urls = [f"{SITE}/{number}.jpg" for number in range(most + 1)]
    async with FakeCloudFront(urls) as fake:
        await purger(fake, has_versions=has_versions).purge(urls)
        assert fake.copies == set()
        assert [len(one.paths) for one in fake.created.values()] == [most, 1]


async def test_the_copies_of_all_versions_are_removed() -> None:
    async with FakeCloudFront(ALL_VERSIONS) as fake:
        await purger(fake, has_versions=True).purge([PICTURE[0]])
        assert fake.copies == set()


@pytest.mark.parametrize("body", [b"", b"<html>", b"<a/>", b"<Invalidation><Id>../x</Id></Invalidation>"])
async def test_a_success_without_an_invalidation_may_be_retried(body: bytes) -> None:
    async with FakeCloudFront() as fake:
        fake.faults = [answer(201, body)]
        with pytest.raises(CdnPurgeFailed, match="without an invalidation"):
            await purger(fake).purge(PICTURE)


@pytest.mark.parametrize(
    ("url", "paths"),
    [
        (f"{SITE}/58/58_1_small.jpg", ("/gall/58/58_1_small.jpg",)),
        (f"{SITE}/a.jpg?v=1", ("/gall/a.jpg?v=1",)),
        (f"{SITE}/a%20%281%29.jpg", ("/gall/a%20%281%29.jpg", "/gall/a%20(1).jpg")),
        (f"{SITE}/caf%C3%A9~.jpg", ("/gall/caf%C3%A9~.jpg", "/gall/caf%C3%A9%7E.jpg")),
        (f"{SITE}/%2A", ("/gall/%2A",)),
        (f"{SITE}/50%25.jpg", ("/gall/50%25.jpg",)),
    ],
)
def test_a_path_is_written_as_browsers_and_as_cloudfront_write_it(url: str, paths: tuple[str, ...]) -> None:
    assert paths_of(url) == paths


def test_the_body_is_that_of_amazons_own_client() -> None:
    client = botocore.session.get_session().create_client(
        "cloudfront", region_name=REGION, aws_access_key_id="a", aws_secret_access_key="b"
    )
    bodies: list[bytes] = []

    def keep(request: object, **_: object) -> AWSResponse:
        bodies.append(getattr(request, "body", b""))
        return AWSResponse("https://cloudfront.amazonaws.com", 200, {}, None)

    client.meta.events.register("before-send.cloudfront.CreateInvalidation", keep)
    batch = {"Paths": {"Quantity": 2, "Items": ["/a&b", "/é"]}, "CallerReference": "1"}
    with pytest.raises(AttributeError):  # the response has no body
        client.create_invalidation(DistributionId="E1", InvalidationBatch=batch)
    declaration, _, own = written(["/a&b", "/é"], reference="1").partition(b"\n")
    assert declaration.startswith(b"<?xml")
    assert own == bodies[0]


def test_codes_and_ids_are_read_from_xml_alone() -> None:
    described = cloudfront_error(403, "AccessDenied").partition(b"\r\n\r\n")[2]
    assert error_code(described) == "AccessDenied"
    assert error_code(b"<a><Code>two words</Code></a>") == ""
    assert error_code(b'{"code": 1}') == ""
    done = b'<Invalidation xmlns="x"><Id>I1</Id><Status>Completed</Status></Invalidation>'
    assert invalidation_of(done).is_completed
