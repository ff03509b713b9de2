"""The sizes of real photographs are the same bytes with every kind of instruction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline.decode.original import first_frame, open_original
from pipeline.image import colour, vips
from pipeline.kernel.library import LIBRARY
from pipeline.kernel.reduction import chain, reduce
from tests.pipeline.kernel.driven import QEMU, ZIG, build, drive, job, needs_arm64, needs_qemu
from tests.pipeline.kernel.oracle import Shape
from tests.pipeline.kernel.test_builds import NATIVE
from tests.pipeline.rendering import SITE, needs_corpus, photographs
from tests.thorough import in_ci

if TYPE_CHECKING:
    from pathlib import Path

    import pyvips

PHOTOGRAPHS = [path for path in photographs() if open_original(path).is_plain]


def pixels(path: Path) -> Shape:
    """Return the pixels of a photograph, and the sizes of the site."""
    original = open_original(path)

    def whole(image: pyvips.Image) -> Shape:
        shown = colour.to_rgb(image)
        sides = shown.width, shown.height
        covers = [size.cover(width=sides[0], height=sides[1]) for size in SITE[::-1]]
        wanted = chain((cover, size.is_source) for cover, size in zip(covers, SITE[::-1], strict=True))
        found = b"".join(map(bytes, vips.strips(shown)))
        return Shape(sides=sides, bands=shown.bands, wanted=tuple(wanted), pixels=found)

    return first_frame(original, whole, sides=(original.header.width, original.header.height))


def made(photograph: Shape) -> list[bytearray]:
    return reduce(photograph.sides, photograph.bands, photograph.wanted, [bytearray(photograph.pixels)])


@needs_corpus
@pytest.mark.parametrize("path", PHOTOGRAPHS[:: in_ci(3, otherwise=12)], ids=lambda path: path.name)
def test_the_instructions_of_this_processor_give_the_same_bytes(path: Path) -> None:
    photograph = pixels(path)
    # The last one is the default, so that it is chosen again in the end.
    found = [made(photograph) for name in NATIVE if LIBRARY.ladder_choose(name.encode()) == 0]
    assert all(one == found[0] for one in found)


@needs_corpus
@needs_qemu
@needs_arm64
def test_neon_gives_the_same_bytes(tmp_path: Path) -> None:
    program = build(tmp_path / "driver", ZIG, "-O3")
    for path in PHOTOGRAPHS[:: in_ci(9, otherwise=30)]:
        photograph = pixels(path)
        expected = b"\1" + b"".join(made(photograph))
        assert drive([*QEMU, str(program)], [job(photograph)]) == expected, path.name
