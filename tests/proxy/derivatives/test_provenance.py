"""Which blobs page views accept under the key of a derivative."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import structlog

from pipeline.errors import Refused
from proxy.derivatives.provenance import Provenance
from proxy.derivatives.recipe import PROFILE
from proxy.errors import NotFound
from proxy.stores.base import Attributes, Blob
from tests.proxy.conftest import ORIGINAL, CountingStore, Workshop, open_workshop

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.derivatives.policy import GenerationPolicy
    from proxy.rendering.pool import RenderPool

pytestmark = pytest.mark.anyio

SMALL = "gall/58/58_1_small.jpg"
OURS = {PROFILE: "1-8.18-abc"}


class ForgetfulStore(CountingStore):
    """A store that returns no metadata, as some gateways and proxies do."""

    def __init__(self) -> None:
        super().__init__(Counter())

    async def head(self, key: str) -> Blob | None:
        blob = await super().head(key)
        return blob and replace(blob, attributes=replace(blob.attributes, metadata={}))


def a_blob(*, size: int = 9, content_type: str = "image/jpeg", profile: str = "") -> Blob:
    return Blob(
        key=SMALL,
        bytes=size,
        etag="abc",
        modified=datetime.now(UTC),
        attributes=Attributes(content_type=content_type, metadata={PROFILE: profile} if profile else {}),
    )


@pytest.mark.parametrize(
    ("content", "content_type", "metadata"),
    [
        (b"", "image/jpeg", OURS),
        (b"<!doctype html>", "text/html", OURS),
        (b"picture", "application/octet-stream", OURS),
        (b"picture", "image/jpeg", {}),
    ],
    ids=["no bytes", "a page", "unknown type", "no render profile"],
)
async def test_a_page_view_renders_again_what_cannot_be_our_derivative(
    workshop: Workshop, tmp_path: Path, content: bytes, content_type: str, metadata: dict[str, str]
) -> None:
    await workshop.upload()
    (tmp_path / "other").write_bytes(content)
    attributes = Attributes(content_type=content_type, metadata=metadata)
    await workshop.store.put(SMALL, tmp_path / "other", attributes)
    assert (await workshop.derivatives.locate(ORIGINAL, "small")).source == "render"
    blob = await workshop.store.head(SMALL)
    assert blob is not None
    assert blob.attributes.metadata[PROFILE] != OURS[PROFILE]


async def test_conditional_writes_replace_what_cannot_be_our_derivative(
    render_pool: RenderPool, photo: Path, policy: GenerationPolicy, tmp_path: Path
) -> None:
    workshop = open_workshop(render_pool, photo=photo, policy=replace(policy, conditional_writes=True))
    await workshop.upload()
    (tmp_path / "empty").write_bytes(b"")
    await workshop.store.put(SMALL, tmp_path / "empty", Attributes(content_type="image/jpeg"))
    assert (await workshop.derivatives.locate(ORIGINAL, "small")).source == "render"
    blob = await workshop.store.head(SMALL)
    assert blob is not None
    assert blob.bytes > 0


@pytest.mark.parametrize("content_type", ["image/jpeg", "image/webp", "IMAGE/PNG"])
async def test_a_derivative_of_an_older_profile_is_still_served(workshop: Workshop, content_type: str) -> None:
    await workshop.upload()
    await workshop.store.put(SMALL, workshop.photo, Attributes(content_type=content_type, metadata=OURS))
    workshop.calls.clear()
    assert (await workshop.derivatives.locate(ORIGINAL, "small")).source == "store"
    assert workshop.calls == {"head": 1}


@pytest.mark.parametrize("content", [b"", b"<!doctype html>"])
async def test_a_job_renders_again_what_is_no_picture_whatever_its_metadata(
    workshop: Workshop, tmp_path: Path, content: bytes
) -> None:
    await workshop.upload()
    await workshop.derivatives.generate(ORIGINAL)
    fresh = await workshop.store.head(SMALL)
    assert fresh is not None
    (tmp_path / "other").write_bytes(content)
    attributes = replace(fresh.attributes, content_type="image/jpeg" if not content else "text/html")
    await workshop.store.put(SMALL, tmp_path / "other", attributes)
    assert (await workshop.derivatives.generate(ORIGINAL)).was_generated
    again = await workshop.store.head(SMALL)
    assert again is not None
    assert (again.etag, again.attributes) == (fresh.etag, fresh.attributes)


async def test_a_store_without_metadata_costs_one_render_and_one_warning(
    render_pool: RenderPool, photo: Path, policy: GenerationPolicy
) -> None:
    workshop = open_workshop(render_pool, photo=photo, policy=policy, store=ForgetfulStore())
    for number in range(3):
        await workshop.upload(f"gall/{number}/{number}_1_original.jpg")
        for size in ("small", "large", "xlarge"):
            await workshop.plant(f"gall/{number}/{number}_1_{size}.jpg")
    with structlog.testing.capture_logs() as logs:
        sources = [
            (await workshop.view(f"gall/{number}/{number}_1_original.jpg", "small")).source for number in range(3)
        ]
    assert sources == ["render", "store", "store"]
    assert [line["event"] for line in logs].count("metadata_not_returned") == 1


@pytest.mark.parametrize("failure", ["missing", "damaged"])
async def test_a_picture_that_may_not_be_ours_is_better_than_none(
    workshop: Workshop, tmp_path: Path, failure: str
) -> None:
    await workshop.store.put(SMALL, workshop.photo, Attributes(content_type="image/jpeg"))
    await workshop.store.put("gall/58/58_1_large.jpg", workshop.photo, Attributes(content_type="text/html"))
    if failure == "damaged":
        (tmp_path / "damaged").write_bytes(b"\xff\xd8\xff" + bytes(100))
        await workshop.upload(path=tmp_path / "damaged")
    for _ in range(2):  # the second time, the failure is known
        assert (await workshop.derivatives.locate(ORIGINAL, "small")).key == SMALL
    with pytest.raises((NotFound, Refused)):
        await workshop.derivatives.locate(ORIGINAL, "large")


async def test_nothing_is_read_back_while_nothing_is_in_doubt(workshop: Workshop) -> None:
    await workshop.upload()
    await workshop.view(ORIGINAL, "small")
    # The derivative; the original before and after the uploads.
    assert workshop.calls["head"] == 3


def test_a_blob_that_a_cache_has_kept_teaches_nothing() -> None:
    provenance = Provenance()
    accepted = [provenance.accepts(a_blob(size=5))]
    doubts = [provenance.is_in_doubt]
    provenance.learn(a_blob(size=5), written=9)
    provenance.learn(None, written=9)
    doubts.append(provenance.is_in_doubt)
    accepted.append(provenance.accepts(a_blob(size=5)))
    assert (accepted, doubts) == ([False, False], [True, False])


def test_a_store_that_returns_metadata_again_is_believed_to_do_so() -> None:
    provenance = Provenance()
    provenance.learn(a_blob(), written=9)
    assert provenance.accepts(a_blob())
    assert provenance.accepts(a_blob(profile="1-8.18-abc"))
    assert not provenance.accepts(a_blob())
