"""Cut and mutated metadata end in facts in range, or in a refusal, and never end the child otherwise."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from loadtest.paint import Photograph, paint
from pipeline.errors import Refused
from pipeline.facts.selection import read_facts
from pipeline.facts_model import Facts
from pipeline.protocol import ReadFacts
from proxy.concurrency.admission import Admission, Priority, Ticket
from proxy.rendering.answers import check_facts
from proxy.rendering.pool import RenderPool
from tests.pipeline.facts.metadata_blocks import (
    ARTIST,
    ASCII,
    COMMENT,
    ISO,
    MAKE,
    ORIGINAL,
    POSITION,
    RATIONAL,
    SHORT,
    TIME,
    UNDEFINED,
    exif_block,
    iptc_block,
    jpeg_with,
    packet,
)
from tests.thorough import count

if TYPE_CHECKING:
    from pathlib import Path

MUTANTS, IN_CHILDREN = count(5000, otherwise=400), count(1000, otherwise=60)

EXIF = exif_block(
    {MAKE: (ASCII, b"Gall Camera\0"), ARTIST: (ASCII, "Łukasz".encode())},
    {
        ORIGINAL: (ASCII, b"2021:04:11 15:47:53\0"),
        TIME: (RATIONAL, [(1, 250)]),
        ISO: (SHORT, [100]),
        COMMENT: (UNDEFINED, b"UNICODE\0" + "A gall".encode("utf-16-le")),
    },
    POSITION,
)
XMP = packet(
    "<dc:creator><rdf:Seq><rdf:li>Ann</rdf:li></rdf:Seq></dc:creator>",
    exif__GPSLatitude="10,30.0N",
    exif__GPSLongitude="20,15,36W",
    exif__DateTimeOriginal="2020-01-02T03:04:05+01:00",
)
IPTC = iptc_block((2, 80, b"Ira"), (2, 120, "Ein Gallapfel, völlig reif".encode()), (2, 55, b"20190102"))


def mutant(block: bytes, dice: random.Random) -> bytes:
    """Return a block with some bytes changed, cut, repeated or swapped."""
    made = bytearray(block)
    for _ in range(dice.choice((1, 2, 5, 20))):
        place = dice.randrange(len(made) or 1)
        kind = dice.randrange(5)
        if kind == 0:
            del made[place:]
        elif kind == 1:
            made[place : place + 1] = bytes((dice.choice((0, 0xFF, 0x7F, 0x80, dice.randrange(256))),))
        elif kind == 2:
            made[place : place + 4] = dice.choice((b"\xff\xff\xff\xff", b"\0\0\0\x80", b"\x08\0\0\0", bytes(4)))
        elif kind == 3:
            made[place:place] = made[place : place + dice.randrange(64)]
        else:
            del made[place : place + dice.randrange(16)]
    return bytes(made)


def mutated(path: Path, plain: bytes, seed: int) -> Path:
    """Write a JPEG whose metadata are mutants, of one block or of all."""
    dice = random.Random(seed)  # noqa: S311 - mutations that can be repeated
    hit = dice.randrange(4)
    exif, xmp, iptc = (
        mutant(block, dice) if hit in (number, 3) else block for number, block in enumerate((EXIF, XMP, IPTC))
    )
    path.write_bytes(plain)
    return jpeg_with(path, exif=exif, xmp=xmp, iptc=iptc)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("plain") / "plain.jpg"
    paint(path, Photograph(width=16, height=12), keep="none")
    return path.read_bytes()


def test_the_seed_has_facts_of_every_block(tmp_path: Path, plain: bytes) -> None:
    (tmp_path / "seed.jpg").write_bytes(plain)
    for blocks in ({"exif": EXIF}, {"xmp": XMP}, {"iptc": IPTC}):
        path = tmp_path / "one.jpg"
        path.write_bytes(plain)
        found = read_facts(ReadFacts(path=str(jpeg_with(path, **blocks)), folder=""))
        assert found.creator
        assert found.taken_at


def test_mutants_have_facts_in_range_or_are_refused(tmp_path: Path, plain: bytes) -> None:
    found = 0
    for seed in range(MUTANTS):
        path = mutated(tmp_path / "mutant.jpg", plain, seed)
        try:
            facts = read_facts(ReadFacts(path=str(path), folder=""))
        except Refused:
            continue
        check_facts(facts)
        found += facts.creator is not None
    assert found > MUTANTS / 2


@pytest.mark.slow
@pytest.mark.anyio
async def test_mutants_never_end_a_child_but_by_its_answer(tmp_path: Path, plain: bytes) -> None:
    pool = RenderPool(admission=Admission(slots=1, budget_bytes=1 << 30), deadline_seconds=30)
    await pool.start()
    try:
        for seed in range(MUTANTS, MUTANTS + IN_CHILDREN):
            path = mutated(tmp_path / "mutant.jpg", plain, seed)
            try:
                assert isinstance(await pool.read_facts(path, Ticket(Priority.JOB)), Facts)
            except Refused:
                continue
    finally:
        await pool.close()
