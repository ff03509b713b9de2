"""A TIFF is rendered correctly, or refused with the reason; raw files and measurements are refused."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UnsupportedFormat
from pipeline.formats import tiff
from pipeline.size import Size
from tests.pipeline.formats.tiffs import CIELAB, ICCLAB, SENSOR, write_tiff
from tests.pipeline.render.test_render import colour_at
from tests.pipeline.rendering import render_into, seen

if TYPE_CHECKING:
    from pathlib import Path

SIDES = (40, 30)
AREA = 40 * 30
NEW_SUBFILE_TYPE, BITS, PHOTOMETRIC, SAMPLES, EXTRA, KIND, DNG_VERSION = 254, 258, 262, 277, 338, 339, 50_706
SHOWN = Size(name="a", width=20, format="png")


def test_lab_of_16_bits_has_the_colours_that_it_names(tmp_path: Path) -> None:
    """In Lab under D50, sRGB's (40, 180, 60) is 64.5, -55.4, 47.4, by the ICC's formulas."""
    original = tmp_path / "original.tif"
    pixel = struct.pack("<Hhh", round(64.5 * 655.35), round(-55.4 * 256), round(47.4 * 256))
    write_tiff(original, pixel * AREA, SIDES, {BITS: (16,), PHOTOMETRIC: (CIELAB,)})
    for size in (SHOWN, Size(name="a", width=40, format="png")):
        (derivative,) = render_into(tmp_path / "out", original, size).derivatives
        assert colour_at(seen(derivative.path), 9, 9) == pytest.approx((40, 180, 60), abs=3)


@pytest.mark.parametrize(
    ("fields", "bytes_a_pixel", "reason"),
    [
        ({PHOTOMETRIC: (CIELAB,)}, 3, "Lab"),
        ({PHOTOMETRIC: (ICCLAB,)}, 3, "Lab"),
        ({PHOTOMETRIC: (CIELAB,), BITS: (32,)}, 12, "uint"),
        ({PHOTOMETRIC: (CIELAB,), BITS: (32,), KIND: (2, 2, 2)}, 12, "int"),
        ({BITS: (64,), KIND: (3, 3, 3)}, 24, "floating-point"),
        ({BITS: (64,), KIND: (6, 6, 6)}, 24, "floating-point"),
        ({BITS: (32,), KIND: (3, 3, 3)}, 12, "float"),
        ({259: (34_712,)}, 3, "feature that is not supported"),
        ({259: (6,), PHOTOMETRIC: (6,)}, 3, "old-style JPEG"),
        ({BITS: (10,)}, 4, "10 bits per sample .* 8 or 16 bits"),
        ({BITS: (12,), SAMPLES: (1,), PHOTOMETRIC: (1,)}, 2, "12 bits per sample"),
        ({BITS: (14,), SAMPLES: (1,), PHOTOMETRIC: (0,)}, 2, "14 bits per sample"),
        ({NEW_SUBFILE_TYPE: (1,)}, 3, "raw"),
        ({DNG_VERSION: (1, 4)}, 3, "raw"),
        ({PHOTOMETRIC: (SENSOR,), SAMPLES: (1,), BITS: (16,)}, 2, "raw"),
    ],
)
def test_what_would_be_shown_wrongly_is_refused_by_name(
    tmp_path: Path, fields: dict[int, tuple[int, ...]], bytes_a_pixel: int, reason: str
) -> None:
    original = tmp_path / "original.tif"
    write_tiff(original, bytes(AREA * bytes_a_pixel), SIDES, fields)
    with pytest.raises(UnsupportedFormat, match=reason):
        render_into(tmp_path / "out", original, SHOWN)


@pytest.mark.parametrize("extra", [(0,), (0, 0)])
def test_a_sample_that_is_not_said_to_be_alpha_is_none(tmp_path: Path, extra: tuple[int, ...]) -> None:
    original = tmp_path / "original.tif"
    pixel = bytes((200, 40, 40)) + bytes(len(extra))
    write_tiff(original, pixel * AREA, SIDES, {SAMPLES: (3 + len(extra),), EXTRA: extra})
    derived = render_into(tmp_path / "out", original, SHOWN)
    assert not derived.info.has_alpha
    assert seen(derived.derivatives[0].path).mode == "RGB"
    assert colour_at(seen(derived.derivatives[0].path), 9, 9) == pytest.approx((200, 40, 40), abs=2)


def test_a_sample_that_is_alpha_stays(tmp_path: Path) -> None:
    original = tmp_path / "original.tif"
    write_tiff(original, bytes((200, 40, 40, 128)) * AREA, SIDES, {SAMPLES: (4,), EXTRA: (2,)})
    (derivative,) = render_into(tmp_path / "out", original, SHOWN).derivatives
    assert colour_at(seen(derivative.path), 9, 9) == pytest.approx((200, 40, 40, 128), abs=2)


@given(st.sampled_from([b"II*\0", b"MM\0*", b"II+\0\x08\0\0\0", b""]), st.binary(max_size=200))
def test_a_directory_that_makes_no_sense_says_nothing(
    tmp_path_factory: pytest.TempPathFactory, head: bytes, rest: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "nonsense.tif"
    path.write_bytes(head + rest)
    assert len(tiff.directory(path).fields) <= 10
