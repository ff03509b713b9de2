"""A crowd of photographs that take much memory each, on a machine of 256 MB."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import PIL.Image
import pytest

from loadtest.paint import Photograph, paint, pixels
from loadtest.servers.groups import CannotMakeGroups, memory_group
from tests.pipeline.formats.heifs import repeated, turn, write
from tests.small_machine import MACHINE_BYTES, crowd
from tests.thorough import count

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]

DEADLINE_SECONDS = 500.0

MOST_HELD_BYTES = 200_000_000
"""Two of the progressive photographs at once would hold 235 MB, one was seen with 158."""

JOBS = count(30, otherwise=6)
PHONES = 4

LARGE, SMALL = (6000, 4000), (2000, 1500)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A format whose decoder holds the whole picture; as saved by libvips."""

    suffix: str
    options: Mapping[str, bool | float]
    dimensions: tuple[tuple[int, int], ...] = (LARGE,)
    refused: frozenset[tuple[int, int]] = field(default_factory=frozenset)
    """Those of its dimensions that need more memory than there is."""


KINDS = {
    "progressive JPEG": Kind(suffix=".jpg", options={"interlace": True}),
    "interlaced PNG": Kind(suffix=".png", options={"interlace": True, "compression": 1}),
    "12-bit AVIF": Kind(
        suffix=".avif",
        options={"bitdepth": 12, "effort": 0},
        dimensions=(SMALL, LARGE),
        refused=frozenset({LARGE}),
    ),
}


@pytest.fixture(autouse=True)
def small_machines() -> None:
    try:
        with memory_group(MACHINE_BYTES):
            pass
    except CannotMakeGroups as reason:
        pytest.skip(str(reason))


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
async def test_nothing_is_killed_and_every_job_is_done_or_refused_for_its_memory(
    tmp_path: Path, kind: Kind, record_property: Callable[[str, object], None]
) -> None:
    photos = [tmp_path / f"{width}x{height}{kind.suffix}" for width, height in kind.dimensions]
    for photo, (width, height) in zip(photos, kind.dimensions, strict=True):
        paint(photo, Photograph(width=width, height=height), **kind.options)
    outcome = await crowd(tmp_path, photos, jobs=JOBS, seconds=DEADLINE_SECONDS)
    record_property("crowd", outcome.told())
    assert outcome.kills == 0
    assert set(outcome.views.statuses) == {302}
    assert outcome.held_bytes < MOST_HELD_BYTES
    for number, job in enumerate(outcome.jobs):
        if kind.dimensions[number % len(photos)] in kind.refused:
            assert (job.status, (job.error or {}).get("code")) == ("error", "needs-too-much-memory")
        else:
            assert (job.status, job.error, len(job.derivatives)) == ("done", None, 4)


async def test_photographs_of_phones_become_every_size(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Phones write HEIC of 24 megapixels in tiles, turned by a property."""
    picture = pixels(Photograph(width=512, height=512, noise=4))
    tile = PIL.Image.frombytes("RGB", (512, 512), bytes(picture.write_to_memory()))
    main, *tiles = repeated(tile, 512, (5712, 4284), "heic")
    turned = replace(main, properties=(*main.properties, turn(3)))
    photo = write(tmp_path / "original.heic", [turned, *tiles], "heic")
    outcome = await crowd(tmp_path, [photo], jobs=PHONES, seconds=DEADLINE_SECONDS)
    record_property("crowd", outcome.told())
    assert outcome.kills == 0
    assert outcome.held_bytes < MOST_HELD_BYTES
    for job in outcome.jobs:
        assert (job.status, job.error, len(job.derivatives)) == ("done", None, 4)
