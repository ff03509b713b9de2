"""What is compared: every photograph of the corpus, and painted files of the kinds that it lacks."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import PIL.Image
import pyvips

from loadtest.paint import Photograph, pixels
from tests.pipeline.formats.heifs import tiled, write
from tests.pipeline.image.test_colour import labelled, profiled
from tests.pipeline.image.test_profiles import with_header
from tests.pipeline.rendering import photographs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAINTED = Photograph(width=1600, height=1200, noise=4)
TILE = 512


def originals(folder: Path) -> Iterator[Path]:
    """Yield the photographs, then the painted files, which are written to `folder`."""
    yield from photographs()
    yield from sorted(_painted(folder))


def _painted(folder: Path) -> Iterator[Path]:
    plain = pixels(PAINTED).copy(interpretation="srgb")
    place = pyvips.Image.xyz(plain.width, plain.height)
    alpha = plain.bandjoin((place[0] * (255 / plain.width)).cast("uchar")).copy(interpretation="srgb")
    grey = plain.colourspace("b-w")
    deep = (plain * 257).cast("ushort").copy(interpretation="rgb16")
    grey_alpha = grey.bandjoin(alpha.extract_band(3)).copy(interpretation="b-w")
    inks = plain.icc_transform("cmyk", input_profile="srgb")
    wide = plain.icc_transform("p3", input_profile="srgb")
    found = {
        "grey.jpg": grey.jpegsave_buffer(Q=95),
        "progressive.jpg": plain.jpegsave_buffer(Q=95, interlace=True),
        "p3.jpg": wide.jpegsave_buffer(Q=95, profile="p3"),
        "profile-lab.jpg": labelled(plain, with_header(profiled(1.0), 16, b"Lab ")).jpegsave_buffer(Q=95),
        "profile-xyz.jpg": labelled(plain, with_header(profiled(1.0), 16, b"XYZ ")).jpegsave_buffer(Q=95),
        "gamma-1.jpg": labelled(plain, profiled(1.0)).jpegsave_buffer(Q=95),
        "inks.jpg": inks.jpegsave_buffer(Q=95, profile="cmyk"),
        "inks-no-profile.jpg": inks.jpegsave_buffer(Q=95, keep=0),
        "palette.png": plain.pngsave_buffer(palette=True),
        "palette-alpha.png": alpha.pngsave_buffer(palette=True),
        "deep.png": deep.pngsave_buffer(),
        "deep-p3.png": deep.icc_transform("p3", input_profile="srgb", depth=16).pngsave_buffer(profile="p3"),
        "grey-alpha.png": grey_alpha.pngsave_buffer(),
        "interlaced.png": alpha.pngsave_buffer(interlace=True),
        "lossy.webp": plain.webpsave_buffer(Q=95),
        "lossy-alpha.webp": alpha.webpsave_buffer(Q=95),
        "lossless.webp": alpha.webpsave_buffer(lossless=True),
        "p3.webp": wide.webpsave_buffer(Q=95, profile="p3"),
        "plain.gif": _gif(plain.jpegsave_buffer(Q=95)),
        "plain.avif": plain.heifsave_buffer(compression="av1", effort=0, Q=90),
        "alpha.avif": alpha.heifsave_buffer(compression="av1", effort=0, Q=90),
        "grey.avif": grey.heifsave_buffer(compression="av1", effort=0, Q=90),
        "lzw.tif": plain.tiffsave_buffer(compression="lzw"),
        "jpeg.tif": plain.tiffsave_buffer(compression="jpeg", Q=95),
        "alpha.tif": alpha.tiffsave_buffer(compression="deflate"),
        "p3.tif": wide.tiffsave_buffer(profile="p3"),
    }
    for name, content in found.items():
        path = folder / name
        path.write_bytes(content)
        yield path
    picture = PIL.Image.open(io.BytesIO(found["p3.jpg"])).convert("RGB")
    yield write(folder / "tiles.avif", tiled(picture, TILE, "avif"), "avif")
    yield write(folder / "tiles.heic", tiled(picture, TILE, "heic"), "heic")


def _gif(jpeg: bytes) -> bytes:
    stored = io.BytesIO()
    PIL.Image.open(io.BytesIO(jpeg)).save(stored, "GIF")
    return stored.getvalue()
