"""A size that is rendered by itself keeps no other size from being rendered, if it alone is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import PIL.Image
import pytest

from pipeline.errors import NeedsTooMuchMemory
from pipeline.size import Size, rendered_together
from proxy.concurrency.admission import Admission
from proxy.rendering.pool import RenderPool
from tests.proxy.conftest import ORIGINAL, open_workshop

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.derivatives.policy import GenerationPolicy

pytestmark = pytest.mark.anyio

SMALL, LARGE, FULL = Size(name="small", width=60), Size(name="large", width=240), Size(name="full", strip_only=True)
SIZES = (SMALL, FULL, LARGE)
BUDGET_BYTES = 50_000_000
"""Enough for the smaller sizes, and not for a turned picture with a palette at its own dimensions."""


def turned(path: Path) -> Path:
    """Write a picture with a palette that has to be turned upright."""
    exif = PIL.Image.Exif()
    exif[274] = 6
    PIL.Image.new("P", (1000, 990)).save(path, "PNG", exif=exif)
    return path


@pytest.mark.parametrize(
    ("wanted", "first", "expected"),
    [
        ((), "", [("small", "large"), ("full",)]),
        ((), "large", [("small", "large"), ("full",)]),
        ((), "full", [("full",), ("small", "large")]),
        (("full",), "full", [("full",)]),
        (("large",), "", [("large",)]),
    ],
)
def test_the_sizes_that_share_a_decode_are_one_group(
    wanted: tuple[str, ...], first: str, expected: list[tuple[str, ...]]
) -> None:
    assert rendered_together(SIZES, wanted, first=first) == expected


async def test_it_is_refused_alone_and_remembered_alone(tmp_path: Path, policy: GenerationPolicy) -> None:
    pool = RenderPool(admission=Admission(slots=1, budget_bytes=BUDGET_BYTES, waiting=9), deadline_seconds=60)
    await pool.start()
    workshop = open_workshop(pool, photo=turned(tmp_path / "turned.png"), policy=policy, sizes=SIZES)
    await workshop.upload()
    try:
        made = await workshop.derivatives.generate(ORIGINAL)
        assert [one.size for one in made.derivatives] == ["small", "large"]
        assert isinstance(made.fault, NeedsTooMuchMemory)
        workshop.calls.clear()
        with pytest.raises(NeedsTooMuchMemory):
            await workshop.view(ORIGINAL, "full")
        assert workshop.calls["fetch"] == 0
        await workshop.store.delete("gall/58/58_1_small.jpg")
        assert (await workshop.derivatives.locate_missing(ORIGINAL, "small")).source == "render"
    finally:
        await workshop.derivatives.close(grace_seconds=60)
        await pool.close()


async def test_it_is_stored_with_the_others_and_is_what_a_page_view_waits_for(
    render_pool: RenderPool, photo: Path, policy: GenerationPolicy
) -> None:
    workshop = open_workshop(render_pool, photo=photo, policy=policy, sizes=SIZES)
    await workshop.upload()
    assert (await workshop.view(ORIGINAL, "full")).key == "gall/58/58_1_full.jpg"
    assert workshop.calls["fetch"] == 1
    made = await workshop.derivatives.generate(ORIGINAL)
    assert {one.size: (one.width, one.height) for one in made.derivatives}["full"] == (480, 360)
    assert len(made.derivatives) == 3
    assert not made.was_generated
