"""Texts that exiftool has written are read, in the encodings and blocks that it chooses."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import PIL.Image
import pytest

from pipeline.facts.selection import read_facts
from pipeline.protocol import ReadFacts

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.needs("exiftool", "libimage-exiftool-perl")
@pytest.mark.parametrize(
    ("name", "tag", "field"),
    [
        ("a.jpg", "EXIF:UserComment", "caption"),
        ("a.png", "EXIF:UserComment", "caption"),
        ("a.jpg", "EXIF:XPAuthor", "creator"),
        ("a.png", "IPTC:By-line", "creator"),
        ("a.jpg", "IPTC:By-line", "creator"),
    ],
)
@pytest.mark.parametrize("value", ["Галлы", "虫", "Ann"])
def test_a_text_of_exiftool_is_read(tmp_path: Path, name: str, tag: str, field: str, value: str) -> None:
    path = tmp_path / name
    PIL.Image.new("RGB", (8, 8)).save(path)
    command = ["exiftool", "-q", "-overwrite_original", "-IPTC:CodedCharacterSet=UTF8", f"-{tag}={value}", str(path)]
    subprocess.run(command, check=True)
    found = read_facts(ReadFacts(path=str(path), folder=""))
    assert {"caption": found.caption, "creator": found.creator}[field] == value
