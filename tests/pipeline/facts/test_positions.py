"""Positions that another program has written into files of every format are read as that program reads them."""

from __future__ import annotations

import json
import subprocess
from math import isclose
from typing import TYPE_CHECKING

import PIL.Image
import pytest

from pipeline.facts.selection import read_facts
from pipeline.protocol import ReadFacts

if TYPE_CHECKING:
    from pathlib import Path

POSITIONS = {
    "north-east": (39.0513444, 94.2887722, 260.56),
    "south-west": (-33.4489, -70.6693, 570.0),
    "below the sea": (31.5590, 35.4732, -430.5),
    "date line": (-16.5, 179.99999, 0.0),
}


def write_position(path: Path, group: str, latitude: float, longitude: float, altitude: float) -> None:
    """Write a position into a file by exiftool, as EXIF or XMP."""
    tags = {"GPSLatitude": latitude, "GPSLongitude": longitude, "GPSAltitude": abs(altitude)}
    references = {
        "GPSLatitudeRef": "S" if latitude < 0 else "N",
        "GPSLongitudeRef": "W" if longitude < 0 else "E",
        "GPSAltitudeRef": int(altitude < 0),
    }
    if group == "XMP-exif":
        del references["GPSLatitudeRef"], references["GPSLongitudeRef"]  # they are part of the values
    written = [f"-{group}:{name}={value}" for name, value in (tags | references).items()]
    subprocess.run(["exiftool", "-n", "-q", "-overwrite_original", *written, str(path)], check=True)


@pytest.mark.needs("exiftool", "libimage-exiftool-perl")
@pytest.mark.parametrize("position", POSITIONS.values(), ids=POSITIONS)
@pytest.mark.parametrize("group", ["GPS", "XMP-exif"])
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif", "a.avif"])
def test_a_position_is_what_exiftool_reads(
    tmp_path: Path, name: str, group: str, position: tuple[float, float, float]
) -> None:
    path = tmp_path / name
    PIL.Image.new("RGB", (96, 64), (200, 120, 40)).save(path)
    write_position(path, group, *position)
    read_group = "Composite" if group == "GPS" else group  # of EXIF, the composed values have the sign
    printed = subprocess.run(
        ["exiftool", "-n", "-json", f"-{read_group}:GPS*", str(path)], capture_output=True, check=True
    )
    expected = json.loads(printed.stdout)[0]
    place = read_facts(ReadFacts(path=str(path), folder="")).place
    assert place is not None
    assert isclose(place.latitude, expected["GPSLatitude"], abs_tol=1e-8)
    assert isclose(place.longitude, expected["GPSLongitude"], abs_tol=1e-8)
    assert place.altitude is not None
    assert isclose(abs(place.altitude), abs(expected["GPSAltitude"]), abs_tol=1e-6)
    assert isclose(place.altitude, position[2], abs_tol=1e-2)
    assert isclose(place.latitude, position[0], abs_tol=1e-5)
