"""EXIF tags of any type and value: none raises an error, and every fact is in range."""

from __future__ import annotations

import random
import struct

import pytest

from pipeline.facts.tags import tags_of_block
from proxy.rendering.answers import check_facts
from tests.pipeline.facts.metadata_blocks import POSITION, facts_in

EXIF, GPS = 0x8769, 0x8825
IMAGE_TAGS = (0x010E, 0x010F, 0x0110, 0x013B, 0x8298, 0x9C9D)
EXIF_TAGS = (
    0x829A, 0x829D, 0x8827, 0x8831, 0x8832, 0x8833, 0x9003, 0x9004, 0x9010, 0x9011, 0x9012, 0x9201, 0x9202, 0x9204,
    0x9209, 0x920A, 0x9286, 0x9291, 0x9292, 0xA405, 0xA433, 0xA434,
)  # fmt: skip
GPS_TAGS = (*POSITION, 9, 18)
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8, 129: 1}
"""Every type with the bytes of one value."""

FLOATS = [float(text) for text in ("nan", "inf", "-inf", "0", "-0.0", "-1", "5.5", "-33.25")]
CONTENTS = [
    bytes(24),
    b"\xff" * 24,
    b"2020:01:02 03:04:05\0\0\0\0\0",
    struct.pack("<6I", 33, 1, 30, 1, 0, 0),
    struct.pack("<6i", -33, 1, 30, 1, 5, 1),
    *(struct.pack("<3d", *[value] * 3) for value in [*FLOATS, 1e308]),
    *(struct.pack("<6f", *[value] * 6) for value in [*FLOATS, 3e38]),
]


def directory(entries: dict[int, tuple[int, bytes]], start: int) -> bytes:
    place, fields, values = start + 2 + 12 * len(entries) + 4, b"", b""
    for tag, (kind, raw) in entries.items():
        inline = struct.pack("<I", place + len(values)) if len(raw) > 4 else raw.ljust(4, b"\0")
        values += raw if len(raw) > 4 else b""
        fields += struct.pack("<HHI", tag, kind, len(raw) // SIZES[kind]) + inline
    return struct.pack("<H", len(entries)) + fields + bytes(4) + values


def block(
    image: dict[int, tuple[int, bytes]], exif: dict[int, tuple[int, bytes]], gps: dict[int, tuple[int, bytes]]
) -> bytes:
    pointers = {EXIF: (4, struct.pack("<I", 1000)), GPS: (4, struct.pack("<I", 3000))}
    first = b"II*\0\x08\0\0\0" + directory({**pointers, **image}, 8)
    return (first.ljust(1000, b"\0") + directory(exif, 1000)).ljust(3000, b"\0") + directory(gps, 3000)


@pytest.mark.parametrize("kind", SIZES)
def test_a_used_tag_of_any_type_and_value_raises_no_error(kind: int) -> None:
    for content in CONTENTS:
        for raw in (content, content[: max(SIZES[kind], 4)], b""):
            used = [dict.fromkeys(tags, (kind, raw)) for tags in (IMAGE_TAGS, EXIF_TAGS, GPS_TAGS)]
            check_facts(facts_in(exif=block(*used)))
            check_facts(facts_in(exif=block({EXIF: (kind, raw), GPS: (kind, raw)}, *used[1:])))


@pytest.mark.parametrize("seed", range(4))
def test_tags_of_many_types_together_raise_no_error(seed: int) -> None:
    randomness = random.Random(seed)  # noqa: S311 - not a secret
    for _ in range(100):
        used = [
            {tag: (randomness.choice([*SIZES]), randomness.choice(CONTENTS)) for tag in tags}
            for tags in (IMAGE_TAGS, EXIF_TAGS, GPS_TAGS)
        ]
        check_facts(facts_in(exif=block(*used)))


@pytest.mark.parametrize(("kind", "shape"), [(11, "<f"), (12, "<d")])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_float_that_is_no_number_is_none(kind: int, shape: str, value: float) -> None:
    tags = tags_of_block(block({}, {0x9209: (kind, struct.pack(shape, value))}, {}))
    assert tags.exif.numbers == {0x9209: (None,)}
