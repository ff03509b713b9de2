"""How good the pictures are at 800 pixels: their score, and the bytes that each contender needs for the same one."""

from __future__ import annotations

import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx

from pipeline.size import Size
from tests.benchmarks.peers.contenders import WIDTHS, Ours
from tests.benchmarks.peers.rounds import FIRST, REQUEST_SECONDS, put
from tests.benchmarks.pipeline.quality import Encoded, bytes_for, score_all

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.benchmarks.peers.contenders import Contender, Endpoint
    from tests.benchmarks.pipeline.photographs import Photograph

QUALITIES: Final = (50, 68, 84, 92)
"""The numbers at which every contender encodes; their scores are interpolated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A contender's picture with its defaults; its bytes for our score over our bytes, None if it cannot reach that."""

    contender: str
    photo: str
    score: float
    bytes: int
    bytes_ratio: float | None


def with_qualities(ours: Ours, folder: Path) -> Contender:
    """Return this service with a further size of 800 pixels for each quality."""
    own = {name: Size(name=name, width=width) for name, width in WIDTHS.items()}
    more = {f"q{quality}": Size(name=f"q{quality}", width=FIRST, quality=quality) for quality in QUALITIES}
    file = folder / "qualities.toml"
    file.write_text(
        "".join(
            f"[sizes.{name}]\nwidth = {size.width}\nquality = {size.quality}\n" for name, size in (own | more).items()
        ),
        encoding="utf-8",
    )
    sizes = {(width, 0): name for name, width in WIDTHS.items()}
    sizes |= {(FIRST, quality): f"q{quality}" for quality in QUALITIES}
    settings = {**ours.settings, "SIZES_FILE": str(file)}
    return Ours(name=ours.name, checkout=ours.checkout, settings=settings, sizes=sizes).contender()


def scores(
    contenders: Sequence[Contender], photos: Sequence[Photograph], originals: Path, *, ours: str, references: Path
) -> list[Score]:
    """Return the scores of every contender for every photograph; `ours` is the name of the one compared with.

    `references` is a folder that keeps what the pictures are compared with.
    """
    found: list[Score] = []
    fetched: dict[tuple[str, str], dict[int, Path]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for contender in contenders:
            with contender.started(originals) as endpoint:
                for number, photo in enumerate(photos):
                    key = put(photo.path, originals, 1_000_000 + len(fetched) * len(photos) + number)
                    place = Path(folder) / f"{len(fetched)}"
                    fetched[contender.name, photo.name] = _fetched(endpoint, key, place)
        for photo in photos:
            made = {contender.name: fetched[contender.name, photo.name] for contender in contenders}
            found += _judged(photo, made, ours=ours, references=references)
    return found


def median_score(found: Sequence[Score], contender: str) -> tuple[float, float, float | None]:
    """Return a contender's median score, bytes, and bytes for our score over our bytes."""
    own = [one for one in found if one.contender == contender]
    ratios = [one.bytes_ratio for one in own if one.bytes_ratio is not None]
    return (
        statistics.median(one.score for one in own),
        statistics.median(one.bytes for one in own),
        statistics.median(ratios) if ratios else None,
    )


def _fetched(endpoint: Endpoint, key: str, folder: Path) -> dict[int, Path]:
    """Return the pictures of a photograph at every quality; at 0 that of the defaults."""
    folder.mkdir()
    made = {}
    with httpx.Client(timeout=REQUEST_SECONDS, follow_redirects=True) as client:
        for quality in (0, *QUALITIES):
            path = folder / f"{quality}.jpg"
            answer = client.get(endpoint.address(key, FIRST, quality)).raise_for_status()
            path.write_bytes(answer.content)
            made[quality] = path
    return made


def _judged(photo: Photograph, made: Mapping[str, Mapping[int, Path]], *, ours: str, references: Path) -> list[Score]:
    pictures = [path for each in made.values() for path in each.values()]
    scored = score_all(photo, pictures, references)
    encoded = {path: Encoded(bytes=path.stat().st_size, score=score) for path, score in scored.items()}
    own = encoded[made[ours][0]]
    found = []
    for name, each in made.items():
        needed = bytes_for(own.score, [encoded[each[quality]] for quality in QUALITIES])
        found.append(
            Score(
                contender=name,
                photo=photo.name,
                score=encoded[each[0]].score,
                bytes=encoded[each[0]].bytes,
                bytes_ratio=None if needed is None else needed / own.bytes,
            )
        )
    return found
