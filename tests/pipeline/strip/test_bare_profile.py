"""A profile without its texts has the colours of the one that it was."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import PIL.ImageCms
import pytest
import pyvips

from pipeline.decode.original import open_original
from pipeline.formats import icc
from pipeline.image import colour
from pipeline.strip.bare_profile import bare_profile
from tests.pipeline.rendering import CORPUS, needs_corpus

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = b"Serial 4711"
P3 = icc.of_primaries(12)
SRGB = PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile("sRGB")).tobytes()
PATCHES = bytes(level * 5 % 256 for level in range(3 * 64))


def shown(profile: bytes) -> bytes:
    """Return the patches in sRGB, by a profile."""
    image = pyvips.Image.new_from_memory(PATCHES, 64, 1, 3, "uchar").copy(interpretation="srgb")
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    converted: bytes = image.icc_transform("srgb", embedded=True, intent="relative").write_to_memory()
    return converted


def with_tag(profile: bytes, name: bytes, value: bytes) -> bytes:
    """Return a profile with one more tag."""
    tags = icc.read_tags(profile) | {name: value + bytes(-len(value) % 4)}
    start, table, content = 132 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for one, held in tags.items():
        table += one + struct.pack(">II", start + len(content), len(held))
        content += held + bytes(-len(held) % 4)
    joined = profile[4:128] + table + content
    return struct.pack(">I", len(joined) + 4) + joined


@pytest.mark.parametrize("profile", [P3, SRGB], ids=["P3", "sRGB"])
def test_the_colours_stay_and_every_text_goes(profile: bytes) -> None:
    signed = profile[:48] + b"CamrSer1" + profile[56:80] + b"Ownr" + profile[84:]
    dirty = with_tag(with_tag(signed, b"dmdd", b"text" + bytes(4) + SECRET), b"vcgt", SECRET)
    made = bare_profile(dirty)
    assert made
    assert shown(made) == shown(profile)
    for text in (SECRET, b"CamrSer1", b"Ownr", b"screen", b"s\0c\0r\0e\0e\0n", b"lcms"):
        assert text not in made
    assert icc.is_embeddable(made)
    assert bare_profile(made) == made
    assert len(made) <= len(profile)


def test_bytes_behind_the_values_of_a_tag_are_dropped() -> None:
    made = bare_profile(with_tag(P3, b"wtpt", icc.read_tags(P3)[b"wtpt"] + SECRET))
    assert made == bare_profile(P3)


@pytest.mark.parametrize(
    "profile",
    [
        with_tag(P3, b"A2B0", b"mft2" + bytes(60)),
        with_tag(P3, b"rTRC", b"text" + bytes(4) + SECRET),
        with_tag(P3, b"rTRC", b"curv" + bytes(4) + struct.pack(">I", 1 << 30)),
        with_tag(P3, b"rTRC", b"para" + bytes(4) + struct.pack(">I", 9 << 16) + bytes(40)),
        P3[:20] + b"Lab " + P3[24:],
        P3[:16] + b"CMYK" + P3[20:],
        P3[:-4],
        b"",
    ],
    ids=["tables", "no curve", "a long curve", "unknown curve", "Lab", "inks", "truncated", "empty"],
)
def test_a_profile_whose_colours_are_not_plain_numbers_is_not_passed_on(profile: bytes) -> None:
    assert bare_profile(profile) is None


def embedded() -> Iterator[tuple[str, bytes]]:
    """Yield the profiles of the corpus."""
    for path in sorted(CORPUS.glob("photos/*.*[gG]")):
        if path.suffix.lower() in (".jpg", ".png"):
            header = open_original(path).header
            if (profile := colour.profile(header)) and header.interpretation == "srgb":
                yield path.name, profile


@needs_corpus
def test_the_profiles_of_photographs_keep_their_colours() -> None:
    found = list(embedded())
    assert len(found) > 5
    for name, profile in found:
        made = bare_profile(profile)
        assert made, name
        assert shown(made) == shown(profile), name
        assert len(made) <= len(profile), name
