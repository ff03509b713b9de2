"""A copy of a JPEG has the same scans and tables, and no other segment."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import PIL.Image
import pytest

from pipeline.errors import Corrupt
from tests.pipeline.strip.bare import SECRET, encoded, full, is_copied, is_known, picture, pixels, segment, turning

if TYPE_CHECKING:
    from pathlib import Path

PLAIN = encoded(picture(), "JPEG", quality=90)
KINDS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_blocks": 1},
    "optimised": {"optimize": True},
    "full colour": {"subsampling": 0},
}
SCAN = re.compile(rb"\xff\xda..\x03", re.DOTALL)


def with_segments(file: bytes, *segments: bytes) -> bytes:
    """Return a JPEG with segments behind its start marker."""
    return file[:2] + b"".join(segments) + file[2:]


@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_the_compressed_picture_is_the_same_to_the_last_byte(
    tmp_path: Path, options: dict[str, Any], mode: str
) -> None:
    file = encoded(picture(mode=mode), "JPEG", **options)
    made = full(tmp_path, with_segments(file, segment(0xE1, b"Exif\0\0" + SECRET), segment(0xFE, SECRET)))
    assert made == file
    assert pixels(made) == pixels(file)


@pytest.mark.parametrize("marker", [*range(0xE0, 0xF0), 0xFE])
def test_no_segment_with_other_contents_is_passed_on(tmp_path: Path, marker: int) -> None:
    heads = (b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0", b"MPF\0", b"Photoshop 3.0\0", b"JFXX\0", b"Ducky", b"")
    extra = [segment(marker, head + SECRET) for head in heads]
    assert full(tmp_path, with_segments(PLAIN, *extra)) == PLAIN


def test_a_comment_between_two_scans_is_dropped(tmp_path: Path) -> None:
    file = encoded(picture(), "JPEG", progressive=True)
    scans = [found.start() for found in SCAN.finditer(file)] + [file.index(b"\xff\xda", 800)]
    place = max(scans)
    made = full(tmp_path, file[:place] + segment(0xFE, SECRET) + segment(0xE1, SECRET) + file[place:])
    assert made == file


@pytest.mark.parametrize(
    "behind",
    [SECRET, b"PK\3\4" + SECRET + b"PK\5\6" + bytes(18), PLAIN, b"<script>alert(1)</script>", b"\xff\xd9"],
    ids=["text", "zip", "second picture", "html", "second end"],
)
def test_nothing_behind_the_end_is_passed_on(tmp_path: Path, behind: bytes) -> None:
    assert full(tmp_path, PLAIN + behind) == PLAIN


def test_a_page_in_a_comment_is_not_passed_on(tmp_path: Path) -> None:
    page = segment(0xFE, b"<html><body onload=alert(1)><!--")
    assert full(tmp_path, with_segments(PLAIN, page) + b"--></html>") == PLAIN


def test_the_thumbnail_and_the_density_of_jfif_are_dropped(tmp_path: Path) -> None:
    head = PLAIN[2:20]
    jfif = segment(0xE0, b"JFIF\0\1\2\1\1\x2c\1\x2c\2\2" + SECRET[:12])
    assert head.startswith(b"\xff\xe0")
    assert full(tmp_path, PLAIN[:2] + jfif + PLAIN[20:]) == PLAIN


def test_a_picture_stored_as_red_green_and_blue_keeps_the_mark_of_it(tmp_path: Path) -> None:
    adobe = segment(0xEE, b"Adobe\0\x64\1\2\3\4\0" + SECRET)
    file = with_segments(PLAIN[:2] + PLAIN[20:], adobe)
    made = full(tmp_path, file)
    assert pixels(made) == pixels(file) != pixels(PLAIN)
    assert SECRET not in made
    assert segment(0xEE, b"Adobe\0\x64\0\0\0\0\0") in made


@pytest.mark.parametrize(
    ("damage", "whole"),
    [
        (lambda file: file[:-2], PLAIN),
        (lambda file: file[:-1], PLAIN),
        (lambda file: file[:20] + b"stray" + file[20:], PLAIN),
        (lambda file: file.replace(b"JFIF\0\1\1", b"JFIF\0\7\1"), PLAIN),
        (lambda file: file.replace(b"\3\x11\0\x3f\0", b"\3\x11\2\x3f\0"), PLAIN),
    ],
    ids=["no end", "half an end", "stray bytes", "version of JFIF", "parameters of the scan"],
)
def test_a_harmless_defect_is_corrected(tmp_path: Path, damage: Any, whole: bytes) -> None:
    assert damage(whole) != whole
    assert full(tmp_path, damage(whole)) == whole


@pytest.mark.parametrize(
    "extra",
    [
        segment(0xDD, b"\0\0\0"),
        segment(0xDB, bytes([9]) + bytes(range(1, 65)) + b"x"),
        segment(0xC4, bytes([7]) + bytes(17)),
        segment(0xF1, SECRET),
        segment(0xCC, b"\0\0"),
        b"\xff\x01",
    ],
    ids=["restart interval", "table", "codes", "unknown", "arithmetic", "bare"],
)
def test_what_is_not_parsed_to_its_last_byte_is_not_copied(tmp_path: Path, extra: bytes) -> None:
    assert is_known(tmp_path, PLAIN, "jpeg")
    assert not is_known(tmp_path, with_segments(PLAIN, extra), "jpeg")


def table(number: int, content: bytes) -> bytes:
    """Return a segment with a quantization table."""
    return segment(0xDB, bytes([number]) + content.ljust(64, b"?"))


def codes(number: int, symbols: bytes) -> bytes:
    """Return a segment with a table of codes of ten bits."""
    return segment(0xC4, bytes([number]) + bytes([0] * 9 + [len(symbols)] + [0] * 6) + symbols)


PAGE = b"<script>alert(1)</script>"
FREE = {
    "quantization": table(3, PAGE),
    "codes": codes(0x13, PAGE),
    "redefined quantization": table(0, PAGE),
    "redefined codes": codes(0x10, PAGE),
    "many": table(2, PAGE) * 500,
    "one segment": segment(0xDB, b"".join(bytes([number]) + PAGE.ljust(64) for number in (1, 2, 3))),
    "restart interval": segment(0xDD, b"MZ") + segment(0xDD, b"\0\0"),
}


@pytest.mark.parametrize("free", FREE.values(), ids=FREE)
@pytest.mark.parametrize("options", [{}, {"progressive": True}], ids=["baseline", "progressive"])
def test_tables_that_no_scan_is_decoded_with_are_dropped(tmp_path: Path, options: dict[str, Any], free: bytes) -> None:
    file = encoded(picture(), "JPEG", **options)
    made = full(tmp_path, with_segments(file, free))
    assert PAGE not in made
    assert made.replace(segment(0xDD, b"\0\0"), b"") == file


def test_a_table_between_two_scans_is_dropped_unless_the_next_one_needs_it(tmp_path: Path) -> None:
    file = encoded(picture(), "JPEG", progressive=True)
    place = file.rindex(b"\xff\xda")
    made = full(tmp_path, file[:place] + table(0, PAGE) + codes(0x03, PAGE) + file[place:])
    assert made == file


def test_of_a_segment_the_tables_that_are_used_stay(tmp_path: Path) -> None:
    start = PLAIN.index(b"\xff\xdb")
    used = PLAIN[start + 4 : start + 69]
    joined = segment(0xDB, used + b"\3" + PAGE.ljust(64))
    assert full(tmp_path, PLAIN[:start] + joined + PLAIN[start + 69 :]) == PLAIN


@pytest.mark.parametrize(
    "file",
    [
        PLAIN[:158] + PLAIN[158:].replace(b"\xff\xc4", b"\xff\xfe", 1),
        PLAIN.replace(b"\xff\xdb", b"\xff\xfe", 1),
        PLAIN.replace(bytes(range(12)), bytes(range(11)) + b"P", 1),
        PLAIN.replace(bytes(range(12)), bytes(range(11)) + b"\0", 1),
        PLAIN.replace(b"\xf8\xf9\xfa\xff", b"\xf8\xf9<\xff", 1),
        PLAIN.replace(b"\3\1\x22\0\2\x11\1\3\x11\1", b"\3\1\x22\0\1\x11\1\3\x11\1", 1),
        PLAIN[:-2] + PLAIN[PLAIN.index(b"\xff\xda") :],
    ],
    ids=["no codes", "no quantization", "long DC", "symbol twice", "long AC", "component twice", "second picture"],
)
def test_a_picture_that_its_tables_do_not_explain_is_not_copied(tmp_path: Path, file: bytes) -> None:
    assert file != PLAIN
    assert not is_known(tmp_path, file, "jpeg")


def test_bytes_within_a_scan_that_belong_to_no_pixel_are_not_copied(tmp_path: Path) -> None:
    made = full(tmp_path, PLAIN[:-2] + SECRET + PLAIN[-2:])
    assert SECRET not in made
    assert pixels(made) != pixels(PLAIN)  # rendered, and compressed again


def test_a_damaged_picture_is_refused_as_for_other_sizes(tmp_path: Path) -> None:
    with pytest.raises(Corrupt):
        full(tmp_path, PLAIN[: len(PLAIN) * 2 // 3])


@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_picture_that_is_not_stored_upright_is_rendered(tmp_path: Path, orientation: int) -> None:
    exif = PIL.Image.Exif()
    exif[274] = orientation
    file = encoded(picture(), "JPEG", exif=exif)
    made = full(tmp_path, file)
    assert not is_copied(tmp_path, file)
    assert b"Exif" not in made
    with PIL.Image.open(tmp_path / "out" / "full.jpg") as shown:
        assert shown.size == ((30, 40) if orientation >= 5 else (40, 30))


@pytest.mark.parametrize("orientation", [3, 6])
def test_a_picture_that_a_second_exif_turns_is_rendered(tmp_path: Path, orientation: int) -> None:
    first, second = (segment(0xE1, b"Exif\0\0" + turning(number)) for number in (1, orientation))
    assert is_copied(tmp_path, with_segments(PLAIN, first, first))
    assert not is_copied(tmp_path, with_segments(PLAIN, first, second))
    assert not is_known(tmp_path, PLAIN[:-2] + second + PLAIN[-2:], "jpeg")


def test_inks_are_rendered_because_browsers_show_them_differently(tmp_path: Path) -> None:
    file = encoded(picture(mode="CMYK"), "JPEG")
    assert not is_copied(tmp_path, file)
    full(tmp_path, file)
    with PIL.Image.open(tmp_path / "out" / "full.jpg") as shown:
        assert (shown.mode, shown.size) == ("RGB", (40, 30))
