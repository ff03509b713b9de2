"""The facts of every photograph of the corpus are those that exiftool reads, or documented as different."""

from __future__ import annotations

import json
import subprocess
from functools import cache
from math import isclose
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.facts.selection import read_facts
from pipeline.facts.texts import Text, published
from pipeline.protocol import ReadFacts
from tests.pipeline.rendering import CORPUS, needs_corpus, photographs

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pipeline.facts_model import Facts

Tags = dict[str, Any]

NUMBERS = {
    "seconds": ("ExifIFD:ExposureTime", "XMP-exif:ExposureTime"),
    "f_number": ("ExifIFD:FNumber", "XMP-exif:FNumber"),
    "iso": ("ExifIFD:ISO", "ExifIFD:RecommendedExposureIndex", "ExifIFD:ISOSpeed", "XMP-exif:ISO"),
    "focal_length": ("ExifIFD:FocalLength", "XMP-exif:FocalLength"),
    "focal_length_35mm": ("ExifIFD:FocalLengthIn35mmFormat", "XMP-exif:FocalLengthIn35mmFormat"),
    "bias": ("ExifIFD:ExposureCompensation", "XMP-exif:ExposureCompensation"),
}
TEXTS = {
    "make": ("IFD0:Make", "XMP-tiff:Make"),
    "model": ("IFD0:Model", "XMP-tiff:Model"),
    "creator": ("IFD0:Artist", "XMP-dc:Creator", "IPTC:By-line"),
    "copyright": ("IFD0:Copyright", "XMP-dc:Rights", "IPTC:CopyrightNotice"),
    "licence": ("XMP-cc:License", "XMP-xmpRights:WebStatement", "XMP-xmpRights:UsageTerms"),
    "caption": ("IFD0:ImageDescription", "XMP-dc:Description", "IPTC:Caption-Abstract", "ExifIFD:UserComment"),
}
LENS = {
    "make": ("ExifIFD:LensMake", "XMP-exifEX:LensMake"),
    "model": ("ExifIFD:LensModel", "XMP-exifEX:LensModel", "XMP-aux:Lens"),
}
TIMES = ("ExifIFD:DateTimeOriginal", "XMP-exif:DateTimeOriginal", "XMP-photoshop:DateCreated")
OFFSETS = ("ExifIFD:OffsetTimeOriginal", "ExifIFD:OffsetTimeDigitized", "ExifIFD:OffsetTime")


@cache
def read_by_exiftool() -> dict[str, Tags]:
    command = ["exiftool", "-n", "-json", "-G1", "-a", "-struct", str(CORPUS / "photos")]
    found = json.loads(subprocess.run(command, capture_output=True, check=False).stdout)
    return {tags["SourceFile"].rpartition("/")[2]: tags for tags in found}


def ours(path: Path) -> Facts:
    return read_facts(ReadFacts(path=str(path), folder=""))


def is_same(own: float | None, expected: float | None, *, tolerance: float = 1e-6) -> bool:
    if own is None or expected is None:
        return own is expected
    return isclose(own, expected, rel_tol=tolerance)


def first_number(tags: Tags, names: Sequence[str]) -> float | None:
    for name in names:
        value = tags.get(name)
        value = value[0] if isinstance(value, list) else value
        if isinstance(value, int | float) and (value or name.endswith("Compensation")):
            return float(value)
    return None


def first_text(tags: Tags, names: Sequence[str], field: str) -> str | None:
    """Return the first text that is not a placeholder, as it is published."""
    for name in names:
        value = tags.get(name)
        text = "; ".join(map(str, value)) if isinstance(value, list) else value
        found = None if text is None else published(Text(str(text)), field)
        if found:
            return found.value
    return None


@needs_corpus
@pytest.mark.needs("exiftool", "libimage-exiftool-perl")
@pytest.mark.parametrize("path", [*photographs(), CORPUS / "photos" / "pillow_heif__200MP.heic"], ids=lambda p: p.name)
def test_every_field_is_what_exiftool_reads(path: Path) -> None:
    tags, found = read_by_exiftool()[path.name], ours(path)
    assert found.taken_at == expected_time(tags, found)
    for name, names in NUMBERS.items():
        expected, own = first_number(tags, names), getattr(found.exposure, name, None)
        assert is_same(own, expected), name
    for name, names in TEXTS.items():
        holder = found.camera if name in {"make", "model"} else found
        assert getattr(holder, name, None) == first_text(tags, names, name), name
    for name, names in LENS.items():
        assert getattr(found.lens, name, None) == first_text(tags, names, name), name
    flash = tags.get("ExifIFD:Flash")
    assert getattr(found.exposure, "flash", None) == (None if flash is None else bool(flash & 1))
    assert (found.place is None) == (expected_place(tags) is None)
    if found.place:
        expected_values = expected_place(tags)
        assert expected_values is not None
        own_values = (found.place.latitude, found.place.longitude, found.place.altitude, found.place.accuracy)
        for own, expected in zip(own_values, expected_values, strict=True):
            assert is_same(own, expected, tolerance=1e-8)


def expected_time(tags: Tags, found: Facts) -> str | None:
    """Return when exiftool reads that a photograph was taken; an offset that is marked may be that of another tag."""
    name = next((name for name in TIMES if tags.get(name)), None)
    if name is None:
        return None
    day, _, clock = str(tags[name]).partition(" ")
    part = str(tags.get("ExifIFD:SubSecTimeOriginal", "")) if name == TIMES[0] else ""
    part = part.rstrip("0") if part.isdecimal() else ""
    time = f"{day.replace(':', '-')}T{clock}{'.' * bool(part)}{part}"
    if name != TIMES[0]:
        return time.replace(".000", "")
    offset = str(tags.get(OFFSETS[0], ""))
    if not offset and "other-offset" in found.uncertain.get("taken_at", ()):
        stated = [str(tags[other]) for other in OFFSETS if other in tags]
        local = str(tags[name])
        same = [str(tags[other]).removeprefix(local) for other in TIMES[1:] if str(tags.get(other)).startswith(local)]
        iptc = [str(tags.get("IPTC:TimeCreated", ""))[8:]]
        offset = next(filter(None, (*stated, *same, *iptc)))
    return (time + offset).replace(".000", "")  # of XMP


def expected_place(tags: Tags) -> tuple[float | None, ...] | None:
    latitude, longitude = tags.get("Composite:GPSLatitude"), tags.get("Composite:GPSLongitude")
    if not isinstance(latitude, int | float) or not isinstance(longitude, int | float) or not (latitude or longitude):
        return None
    return latitude, longitude, tags.get("Composite:GPSAltitude"), tags.get("GPS:GPSHPositioningError")


@needs_corpus
def test_the_corpus_has_positions_times_and_rights() -> None:
    found = [ours(path) for path in photographs()]
    counts = {
        name: sum(getattr(facts, name) is not None for facts in found)
        for name in ("place", "taken_at", "camera", "lens", "exposure", "creator", "copyright", "licence", "caption")
    }
    print(f"{len(found)} photographs: {counts}")  # noqa: T201 - the count is asked for
    assert counts["place"] >= 12
    assert counts["taken_at"] >= 36
