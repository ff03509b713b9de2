"""Of each fact, the first source with a plausible value counts: EXIF, XMP, IPTC, then what is uncertain."""

from __future__ import annotations

import math
import struct

import pytest

from pipeline.facts.png_texts import PngTexts
from pipeline.facts.texts import Text
from pipeline.facts_model import Camera, Exposure, Lens, Place
from tests.pipeline.facts.metadata_blocks import (
    APERTURE,
    ARTIST,
    ASCII,
    COMMENT,
    COPYRIGHT,
    DESCRIPTION,
    DIGITISED,
    F_NUMBER,
    FLASH,
    FOCAL,
    ISO,
    MAKE,
    MODEL,
    OFFSET,
    ORIGINAL,
    OTHER_OFFSET,
    PART,
    POSITION,
    RATIONAL,
    SHORT,
    SHUTTER,
    SIGNED_RATIONAL,
    TIME,
    UNDEFINED,
    Fields,
    exif_block,
    facts_in,
    iptc_block,
    packet,
)

EXIF = exif_block(
    {
        MAKE: (ASCII, b"Gall\0"),
        ARTIST: (ASCII, b"Ann\0"),
        COPYRIGHT: (ASCII, b"Ann\0Ed\0"),
        DESCRIPTION: (ASCII, b"E\0"),
    },
    {ORIGINAL: (ASCII, b"2021:04:11 15:47:53\0"), PART: (ASCII, b"12\0"), OFFSET: (ASCII, b"+02:00\0")},
    POSITION,
)
XMP = packet(
    "<dc:creator><rdf:Seq><rdf:li>Xan</rdf:li></rdf:Seq></dc:creator><dc:rights>X</dc:rights>"
    "<dc:description>X caption</dc:description>",
    tiff__Make="X make",
    aux__Lens="X lens",
    exif__DateTimeOriginal="2020-01-02T03:04:05+01:00",
    exif__GPSLatitude="10,30.0N",
    exif__GPSLongitude="20,15,36W",
    exif__GPSAltitude="5/2",
    exif__GPSAltitudeRef="1",
    exif__ExposureTime="1/500",
    xmpRights__WebStatement="https://example.org/licence",
)
IPTC = iptc_block(
    (2, 80, b"Ira"), (2, 116, b"I"), (2, 120, b"I caption"), (2, 55, b"20190102"), (2, 60, b"030405+0300")
)


def test_exif_counts_before_xmp_and_xmp_before_iptc() -> None:
    found = facts_in(exif=EXIF, xmp=XMP, iptc=IPTC)
    assert (found.taken_at, found.creator, found.caption) == ("2021-04-11T15:47:53.12+02:00", "Ann", "E")
    assert (found.copyright, found.licence) == ("Ann; Ed", "https://example.org/licence")
    assert found.camera == Camera(make="Gall")
    assert found.lens == Lens(model="X lens")
    assert found.place == Place(latitude=52.5, longitude=-13.25, altitude=123.4, accuracy=5)
    found = facts_in(xmp=XMP, iptc=IPTC)
    assert (found.taken_at, found.creator, found.caption) == ("2020-01-02T03:04:05+01:00", "Xan", "X caption")
    assert found.place == Place(latitude=10.5, longitude=-20.26, altitude=-2.5)
    assert found.exposure == Exposure(seconds=0.002)
    found = facts_in(iptc=IPTC)
    assert (found.taken_at, found.creator, found.copyright) == ("2019-01-02T03:04:05+03:00", "Ira", "I")
    assert found.caption == "I caption"
    assert found.uncertain == {}


def test_an_original_without_metadata_has_no_facts() -> None:
    found = facts_in()
    assert not any((found.taken_at, found.camera, found.lens, found.exposure, found.place, found.creator))
    assert not any((found.copyright, found.licence, found.caption, found.uncertain))


def test_a_placeholder_gives_way_to_the_next_source() -> None:
    exif = exif_block({ARTIST: (ASCII, b"unknown\0"), DESCRIPTION: (ASCII, b"OLYMPUS DIGITAL CAMERA         \0")})
    found = facts_in(exif=exif, xmp=XMP)
    assert (found.creator, found.caption) == ("Xan", "X caption")


@pytest.mark.parametrize(
    ("exif", "taken_at", "doubts"),
    [
        ({}, "2021-04-11T15:47:53", ()),
        ({OTHER_OFFSET: (ASCII, b"-05:00\0")}, "2021-04-11T15:47:53-05:00", ("other-offset",)),
        ({OFFSET: (ASCII, b"   :  \0")}, "2021-04-11T15:47:53", ()),
        ({PART: (ASCII, b"   \0")}, "2021-04-11T15:47:53", ()),
        ({PART: (ASCII, b"500   \0")}, "2021-04-11T15:47:53.5", ()),
    ],
)
def test_a_time_has_the_offset_that_the_file_has(exif: Fields, taken_at: str, doubts: tuple[str, ...]) -> None:
    found = facts_in(exif=exif_block(exif={ORIGINAL: (ASCII, b"2021:04:11 15:47:53\0"), **exif}))
    assert (found.taken_at, found.uncertain.get("taken_at", ())) == (taken_at, doubts)


def test_the_time_of_a_scan_is_uncertain() -> None:
    found = facts_in(exif=exif_block(exif={DIGITISED: (ASCII, b"2021:04:11 15:47:53\0")}))
    assert (found.taken_at, found.uncertain) == ("2021-04-11T15:47:53", {"taken_at": ("digitised",)})


@pytest.mark.parametrize(
    ("stored", "taken_at"),
    [
        (b"030405+0000", "2019-01-02T03:04:05"),
        (b"030405-0000", "2019-01-02T03:04:05"),
        (b"030405-0030", "2019-01-02T03:04:05-00:30"),
        (b"", "2019-01-02"),
    ],
)
def test_the_offset_that_iptc_writes_for_none_is_none(stored: bytes, taken_at: str) -> None:
    assert facts_in(iptc=iptc_block((2, 55, b"20190102"), (2, 60, stored))).taken_at == taken_at


def gps(**changes: object) -> Fields:
    names = {
        "latitude": 2,
        "longitude": 4,
        "latitude_ref": 1,
        "longitude_ref": 3,
        "status": 9,
        "datum": 18,
        "altitude": 6,
    }
    kinds = {"latitude": RATIONAL, "longitude": RATIONAL, "altitude": RATIONAL}
    return {**POSITION, **{names[name]: (kinds.get(name, ASCII), value) for name, value in changes.items()}}


@pytest.mark.parametrize(
    "changes",
    [
        {"latitude": [(900, 1), (0, 1), (0, 1)]},
        {"longitude": [(181, 1), (0, 1), (0, 1)]},
        {"latitude": [(0, 0), (0, 0), (0, 0)]},
        {"latitude": [(52, 1), (0, 0), (0, 1)]},
        {"latitude": [(52, 1), (61, 1), (0, 1)]},
        {"latitude": [(0, 1)] * 3, "longitude": [(0, 1)] * 3},
    ],
)
def test_a_position_that_makes_no_sense_is_none(changes: dict[str, object]) -> None:
    assert facts_in(exif=exif_block(gps=gps(**changes))).place is None


@pytest.mark.parametrize(
    ("changes", "doubts"),
    [
        ({"latitude_ref": b"\0"}, ("hemisphere",)),
        ({"status": b"V\0"}, ("no-fix",)),
        ({"datum": b"TOKYO\0"}, ("datum",)),
        ({"datum": b"WGS-84\0"}, ()),
        ({"latitude": [(52, 1), (30, 1), (0, 0)]}, ()),
    ],
)
def test_a_position_may_be_uncertain(changes: dict[str, object], doubts: tuple[str, ...]) -> None:
    found = facts_in(exif=exif_block(gps=gps(**changes)))
    assert found.place is not None
    assert math.isclose(found.place.latitude, 52.5)
    assert found.uncertain.get("place", ()) == doubts


@pytest.mark.parametrize(
    ("degrees", "reference", "latitude"),
    [
        ([(-335, 10), (0, 1), (0, 1)], b"S\0", -33.5),
        ([(-335, 10), (0, 1), (0, 1)], b"N\0", 33.5),
        ([(-33, 1), (30, 1), (0, 1)], b"S\0", -33.5),
        ([(-33, 1), (30, 1), (0, 1)], b"\0", -33.5),
        ([(33, 1), (30, 1), (0, 1)], b"S\0", -33.5),
    ],
)
def test_signed_degrees_have_the_sign_of_their_reference(
    degrees: list[tuple[int, int]], reference: bytes, latitude: float
) -> None:
    found = facts_in(exif=exif_block(gps={**POSITION, 1: (ASCII, reference), 2: (SIGNED_RATIONAL, degrees)})).place
    assert found is not None
    assert found.latitude == latitude


@pytest.mark.parametrize(
    ("latitude", "degrees"),
    [
        ("33,30.12345678901234S", -33.5020576132),
        ("33.5S", -33.5),
        ("33.5 s", -33.5),
        ("-33.5", -33.5),
        ("+33.5", 33.5),
        ("33.5", 33.5),
        ("-0,30", -0.5),
        ("33,30,36N", 33.51),
        ("33,30W", None),
        ("33,70N", None),
        ("--33.5", None),
        ("33.5e5", None),
    ],
)
def test_every_form_of_degrees_in_xmp_is_read(latitude: str, degrees: float | None) -> None:
    place = facts_in(xmp=packet(exif__GPSLatitude=latitude, exif__GPSLongitude="20,15,36W")).place
    if degrees is None:
        assert place is None
    else:
        assert place is not None
        assert math.isclose(place.latitude, degrees, abs_tol=1e-8)


@pytest.mark.parametrize("reference", [(1, [1]), (UNDEFINED, b"\1"), (ASCII, b"1\0"), (SHORT, [1]), (1, [3])])
def test_an_altitude_is_below_the_sea_whatever_the_type_of_its_reference(reference: tuple[int, object]) -> None:
    below = facts_in(exif=exif_block(gps={**POSITION, 5: reference})).place
    assert below is not None
    assert below.altitude == -123.4


@pytest.mark.parametrize("reference", [(1, [0]), (UNDEFINED, b"\0"), (ASCII, b"0\0"), (SHORT, [0]), (ASCII, b"\0")])
def test_an_altitude_is_above_the_sea_whatever_the_type_of_its_reference(reference: tuple[int, object]) -> None:
    above = facts_in(exif=exif_block(gps={**POSITION, 5: reference})).place
    assert above is not None
    assert above.altitude == 123.4


def test_an_altitude_below_the_sea_is_negative_and_one_out_of_range_is_none() -> None:
    below = facts_in(exif=exif_block(gps={**POSITION, 5: (1, [1])})).place
    assert below is not None
    assert below.altitude == -123.4
    absurd = facts_in(exif=exif_block(gps=gps(altitude=[(4_000_000_000, 1)]))).place
    assert absurd is not None
    assert absurd.altitude is None


def test_an_exposure_is_in_numbers_and_zeros_are_none() -> None:
    exif: Fields = {
        TIME: (RATIONAL, [(1, 250)]),
        F_NUMBER: (RATIONAL, [(28, 10)]),
        ISO: (SHORT, [65_535]),
        0x8832: (4, [102_400]),
        FLASH: (SHORT, [25]),
        FOCAL: (RATIONAL, [(0, 1)]),
        0x9204: (SIGNED_RATIONAL, [(-1, 3)]),
    }
    assert facts_in(exif=exif_block(exif=exif)).exposure == Exposure(
        seconds=0.004, f_number=2.8, iso=102_400, bias=-0.3333333333, flash=True
    )


def test_an_exposure_that_is_computed_is_uncertain() -> None:
    exif: Fields = {SHUTTER: (SIGNED_RATIONAL, [(8, 1)]), APERTURE: (RATIONAL, [(4, 1)]), TIME: (RATIONAL, [(0, 0)])}
    found = facts_in(exif=exif_block(exif=exif))
    assert (found.exposure, found.uncertain) == (Exposure(seconds=1 / 256, f_number=4), {"exposure": ("computed",)})


@pytest.mark.parametrize(
    "raw",
    [b"ASCII\0\0\0A gall", bytes(8) + b"A gall", b"UNICODE\0" + "A gall".encode("utf-16-le"),
     b"UNICODE\0" + "A gall".encode("utf-16-be")],
)  # fmt: skip
def test_a_comment_is_the_last_caption_and_uncertain(raw: bytes) -> None:
    exif = exif_block(exif={COMMENT: (UNDEFINED, raw)})
    found = facts_in(exif=exif)
    assert (found.caption, found.uncertain) == ("A gall", {"caption": ("comment",)})
    assert facts_in(exif=exif, iptc=IPTC).caption == "I caption"


@pytest.mark.parametrize(("order", "encoding"), [("<", "utf-16-le"), (">", "utf-16-be")])
def test_a_comment_without_zeros_has_the_byte_order_of_its_block(order: str, encoding: str) -> None:
    raw = b"UNICODE\0" + "Галлы".encode(encoding) + b"\0\0\x41\x41"
    head = b"II*\0" if order == "<" else b"MM\0*"
    pointer = struct.pack(f"{order}IHHHIIIHHHIII", 8, 1, 0x8769, 4, 1, 26, 0, 1, COMMENT, UNDEFINED, len(raw), 44, 0)
    assert facts_in(exif=head + pointer + raw).caption == "Галлы"


@pytest.mark.parametrize("author", ["A", "Ann", "Anna", "Анна", "虫"])
@pytest.mark.parametrize("end", ["", "\0", "\0rest"])
@pytest.mark.parametrize("kind", [1, UNDEFINED])
def test_an_author_of_windows_ends_at_its_zero(author: str, end: str, kind: int) -> None:
    exif = exif_block({0x9C9D: (kind, (author + end).encode("utf-16-le"))})
    assert facts_in(exif=exif).creator == author


def test_texts_of_a_png_are_the_last_source() -> None:
    texts = PngTexts(
        texts={"Author": Text("Pia"), "Creation Time": Text("2021-04-11T15:47:53"), "Comment": Text("A gall")}
    )
    found = facts_in(texts=texts)
    assert (found.creator, found.taken_at, found.caption) == ("Pia", "2021-04-11T15:47:53", "A gall")
    assert found.uncertain == {"taken_at": ("digitised",), "caption": ("comment",)}
    assert facts_in(texts=texts, iptc=IPTC).creator == "Ira"


@pytest.mark.parametrize(
    ("raw", "expected", "doubts"),
    [
        ("Zoë\0rest".encode(), "Zoë", ()),
        ("Zoë".encode("latin-1"), "Zoë", ("encoding",)),
        (b"Ann\x07\x1b[2J  Lee\n", "Ann[2J Lee", ()),
        ("Ann\u202eeeL".encode(), "AnneeL", ()),
        (b"x" * 600, "x" * 500, ("cut",)),
        (b"------", None, ()),
        (b"   \0", None, ()),
        (b"<none>", None, ()),
        (b"0", None, ()),
        (b"null", None, ()),
    ],
)
def test_a_text_is_plain_bounded_and_no_placeholder(raw: bytes, expected: str | None, doubts: tuple[str, ...]) -> None:
    found = facts_in(exif=exif_block({ARTIST: (ASCII, raw)}))
    assert (found.creator, found.uncertain.get("creator", ())) == (expected, doubts)


@pytest.mark.parametrize("raw", [b"dig" + b"cam" * 5000 + b"!", b"samsung " * 2000 + b"!", b" " * 16_000 + b"x"])
def test_a_long_caption_is_kept_without_long_work(raw: bytes) -> None:
    assert facts_in(exif=exif_block({DESCRIPTION: (ASCII, raw)})).caption == raw.decode().strip()[:4000].strip()


def test_the_name_of_a_model_may_be_a_number() -> None:
    assert facts_in(exif=exif_block({MODEL: (ASCII, b"300\0")})).camera == Camera(model="300")
