"""A copy of a PNG has the same pixels and colours, and no other chunk."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import PIL.Image
import pytest
import pyvips

from tests.pipeline.strip.bare import (
    SECRET,
    encoded,
    full,
    is_copied,
    is_known,
    picture,
    pixels,
    png_chunk,
    png_chunks,
    turning,
)

if TYPE_CHECKING:
    from pathlib import Path

PLAIN = encoded(picture(), "PNG")
HEAD_END = 33
"""Where the first chunk ends."""

MODES = {
    "colours": ("RGB", {}),
    "alpha": ("RGBA", {}),
    "grey": ("L", {}),
    "grey and alpha": ("LA", {}),
    "bits": ("1", {}),
    "palette": ("P", {"transparency": 3}),
    "16 bits": ("I;16", {}),
}


def with_chunks(file: bytes, *chunks: bytes) -> bytes:
    """Return a PNG with chunks behind its header."""
    return file[:HEAD_END] + b"".join(chunks) + file[HEAD_END:]


@pytest.mark.parametrize(("mode", "options"), MODES.values(), ids=MODES)
def test_the_compressed_pixels_are_the_same_to_the_last_byte(
    tmp_path: Path, mode: str, options: dict[str, int]
) -> None:
    shown = picture(mode="L").convert(mode) if mode == "I;16" else picture(mode=mode)
    file = encoded(shown, "PNG", **options)
    made = full(tmp_path, with_chunks(file, png_chunk(b"tEXt", b"Comment\0" + SECRET)))
    assert made == file
    assert pixels(made) == pixels(file)


def test_an_interlaced_picture_stays_one(tmp_path: Path) -> None:
    file = pyvips.Image.new_from_memory(picture().tobytes(), 40, 30, 3, "uchar").pngsave_buffer(interlace=True)
    assert file[28] == 1
    made = full(tmp_path, file)
    assert png_chunks(made) == [(kind, content) for kind, content in png_chunks(file) if kind not in (b"pHYs", b"eXIf")]
    assert pixels(made) == pixels(file)


@pytest.mark.parametrize(
    "kind", [b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"tIME", b"pHYs", b"sPLT", b"hIST", b"prVt", b"acTL"]
)
def test_no_chunk_without_pixels_or_colours_is_passed_on(tmp_path: Path, kind: bytes) -> None:
    extra = png_chunk(kind, SECRET)
    made = full(tmp_path, with_chunks(PLAIN, extra)[:-12] + extra + PLAIN[-12:])
    assert made == PLAIN


def test_nothing_behind_the_end_is_passed_on(tmp_path: Path) -> None:
    assert full(tmp_path, PLAIN + b"PK\3\4" + SECRET) == PLAIN


def test_of_an_animation_the_default_image_is_copied(tmp_path: Path) -> None:
    frames = [picture(), picture(seed=1)]
    file = encoded(frames[0], "PNG", save_all=True, append_images=frames[1:])
    made = full(tmp_path, file)
    assert {kind for kind, _ in png_chunks(made)} == {b"IHDR", b"IDAT", b"IEND"}
    assert pixels(made) == pixels(file)


@pytest.mark.parametrize(
    "chunk",
    [(b"gAMA", bytes((0, 0, 177, 143))), (b"cHRM", bytes(range(32))), (b"sRGB", b"\0"), (b"cICP", b"\x0c\x0d\0\1")],
    ids=lambda chunk: chunk[0].decode(),
)
def test_what_the_colours_mean_is_kept_if_it_has_its_own_length(tmp_path: Path, chunk: tuple[bytes, bytes]) -> None:
    assert chunk in png_chunks(full(tmp_path, with_chunks(PLAIN, png_chunk(*chunk))))
    assert full(tmp_path, with_chunks(PLAIN, png_chunk(chunk[0], chunk[1] + SECRET))) == PLAIN


def test_a_chunk_with_a_wrong_checksum_is_dropped(tmp_path: Path) -> None:
    wrong = png_chunk(b"gAMA", bytes((0, 0, 177, 143)))[:-1] + b"?"
    assert full(tmp_path, with_chunks(PLAIN, wrong)) == PLAIN


@pytest.mark.parametrize("wrong", ["checksum", "length"])
def test_of_several_chunks_of_colours_the_first_intact_one_is_kept(tmp_path: Path, wrong: str) -> None:
    good = png_chunk(b"gAMA", bytes((0, 0, 177, 143)))
    other = png_chunk(b"gAMA", bytes((0, 1, 134, 160)))
    bad = png_chunk(b"gAMA", bytes(5)) if wrong == "length" else other[:-1] + b"?"
    assert full(tmp_path, with_chunks(PLAIN, bad, good, other)) == with_chunks(PLAIN, good)


@pytest.mark.parametrize(("bits", "most"), [(1, 2), (2, 4), (4, 16)])
def test_more_colours_than_pixels_can_have_are_not_copied(tmp_path: Path, bits: int, most: int) -> None:
    file = encoded(picture(mode="L").quantize(most), "PNG", bits=bits)
    colours = dict(png_chunks(file))[b"PLTE"]
    assert (file[24], file[25], is_known(tmp_path, file, "png")) == (bits, 3, True)
    longer = file.replace(png_chunk(b"PLTE", colours), png_chunk(b"PLTE", colours.ljust(3 * most, b"?") + SECRET[:30]))
    assert not is_known(tmp_path, longer, "png")
    assert SECRET[:30] not in full(tmp_path, longer)


@pytest.mark.parametrize("behind", [False, True], ids=["ahead", "behind"])
def test_a_picture_that_a_second_exif_turns_is_rendered(tmp_path: Path, behind: bool) -> None:  # noqa: FBT001
    first, second = (png_chunk(b"eXIf", turning(number)) for number in (1, 6))
    assert is_known(tmp_path, with_chunks(PLAIN, first, first), "png")
    file = with_chunks(PLAIN, first)[:-12] + second + PLAIN[-12:] if behind else with_chunks(PLAIN, first, second)
    assert not is_known(tmp_path, file, "png")


def test_data_behind_the_compressed_pixels_are_not_passed_on(tmp_path: Path) -> None:
    pixels_chunk = next(content for kind, content in png_chunks(PLAIN) if kind == b"IDAT")
    # So many that the rendering has fewer bytes than the file: otherwise its levels may be reduced.
    file = PLAIN[:HEAD_END] + png_chunk(b"IDAT", pixels_chunk + 100 * SECRET) + png_chunk(b"IEND", b"")
    made = full(tmp_path, file)
    assert SECRET not in made
    assert pixels(made) == pixels(PLAIN)


def test_more_pixels_than_the_header_declares_are_not_passed_on(tmp_path: Path) -> None:
    rows = zlib.decompress(next(content for kind, content in png_chunks(PLAIN) if kind == b"IDAT"))
    compressed = zlib.compress(rows + SECRET, 0)
    made = full(tmp_path, PLAIN[:HEAD_END] + png_chunk(b"IDAT", compressed) + png_chunk(b"IEND", b""))
    assert SECRET not in made
    assert pixels(made) == pixels(PLAIN)


@pytest.mark.parametrize(
    "file",
    [
        PLAIN[:-12],
        PLAIN[:-12] + png_chunk(b"tEXt", SECRET) + png_chunk(b"IDAT", b"") + PLAIN[-12:],
        with_chunks(encoded(picture(mode="P"), "PNG"), png_chunk(b"PLTE", bytes(3))),
    ],
    ids=["no end", "pixels in two places", "two palettes"],
)
def test_a_file_that_is_not_in_order_is_not_copied(tmp_path: Path, file: bytes) -> None:
    assert is_known(tmp_path, PLAIN, "png")
    assert not is_known(tmp_path, file, "png")


def test_a_picture_that_is_turned_by_its_exif_is_rendered(tmp_path: Path) -> None:
    exif = PIL.Image.Exif()
    exif[274] = 6
    file = encoded(picture(), "PNG", exif=exif)
    assert not is_copied(tmp_path, file)
    with PIL.Image.open(tmp_path / "original") as stored:
        upright = stored.transpose(PIL.Image.Transpose.ROTATE_270)
    full(tmp_path, file)
    with PIL.Image.open(tmp_path / "out" / "full.png") as shown:
        assert shown.convert("RGB").tobytes() == upright.tobytes()
