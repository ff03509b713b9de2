"""Reading a derivative's fields from its blob."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from proxy.derivatives.recipe import ETAG, HEIGHT, PROFILE, WIDTH, derivative_of, version_of
from proxy.stores.base import Attributes, Blob
from tests.proxy.conftest import ORIGINAL, Workshop

if TYPE_CHECKING:
    from pathlib import Path

BLOB = Blob(key="a_small.jpg", bytes=5, etag="abc", modified=datetime.now(UTC), attributes=Attributes())


@pytest.mark.parametrize("width", ["800px", "", "tall", "-800", "8.5", "٣", "9" * 5000])
def test_a_width_that_somebody_else_kept_in_his_own_way_is_not_known(width: str) -> None:
    blob = replace(BLOB, attributes=Attributes(metadata={WIDTH: width, HEIGHT: "600"}))
    made = derivative_of("small", blob)
    assert (made.width, made.height) == (0, 600)


def test_a_version_identifies_original_and_profile_and_without_them_the_bytes() -> None:
    def of(etag: str, **metadata: str) -> str:
        return version_of(replace(BLOB, etag=etag, attributes=Attributes(metadata=metadata)))

    ours = {ETAG: "a", PROFILE: "7-8.18-0"}
    assert of("x", **ours) == of("y", **ours, **{WIDTH: "5"})
    versions = {of("x", **ours), of("x", **{**ours, ETAG: "b"}), of("x", **{**ours, PROFILE: "8"}), of("x"), of("y")}
    assert len(versions) == 5
    assert {len(version) for version in versions} == {12}


@pytest.mark.anyio
async def test_a_page_view_is_not_stopped_by_what_somebody_else_keeps_with_another_size(
    workshop: Workshop, photo: Path
) -> None:
    await workshop.upload()
    theirs = Attributes(content_type="image/jpeg", metadata={WIDTH: "60px", HEIGHT: "unknown"})
    await workshop.store.put("gall/58/58_1_small.jpg", photo, theirs)
    assert (await workshop.derivatives.locate(ORIGINAL, "large")).source == "render"
