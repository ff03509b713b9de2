"""A size that keeps the dimensions of the original: its place in a recipe, and what is rendered for it."""

from __future__ import annotations

import io
import os
import random
import re
import subprocess
from typing import TYPE_CHECKING

import PIL.Image
import pytest

from loadtest.paint import Photograph, paint
from pipeline.decode.copying import copied
from pipeline.decode.original import open_original
from pipeline.errors import Refused
from pipeline.protocol import Derived, Refusal, Render
from pipeline.size import Size, render_profile
from tests.pipeline import fuzz
from tests.pipeline.rendering import CORPUS, SITE, RenderProcess, needs_corpus, photographs, render_into
from tests.pipeline.strip.bare import pixels
from tests.thorough import count, in_ci

if TYPE_CHECKING:
    from pathlib import Path

FULL = Size(name="full", strip_only=True)
ANIMATION_PIXELS = 25_000_000
METADATA = re.compile(
    r"^\[(EXIF|IFD\d|ExifIFD|GPS|XMP.*|IPTC|Photoshop|MPF\d?|MakerNotes|Canon|Nikon|Apple|JFXX)\]", re.MULTILINE
)
"""The groups of exiftool that no derivative may have."""

PRIVATE = re.compile(
    r"GPS(Lat|Lon|Alt|Position)|Serial|Owner|Artist|Creator\b|By-line|Copyright|CameraID|ImageUniqueID"
)


def test_other_sizes_have_the_same_bytes_and_profiles_beside_it(tmp_path: Path) -> None:
    original = tmp_path / "original.jpg"
    paint(original, Photograph(width=900, height=600, noise=9))
    alone = render_into(tmp_path / "alone", original, *SITE)
    beside = render_into(tmp_path / "beside", original, *SITE, FULL)
    assert [one.profile for one in alone.derivatives] == [one.profile for one in beside.derivatives[:4]]
    for one, other in zip(alone.derivatives, beside.derivatives, strict=False):
        assert (tmp_path / "alone" / one.path).read_bytes() == (tmp_path / "beside" / other.path).read_bytes()


def test_its_profile_depends_on_no_other_size() -> None:
    profile = render_profile(FULL, among=[FULL], libvips="8.18")
    assert render_profile(FULL, among=[*SITE, FULL], libvips="8.18") == profile
    sharper = Size(name="full", strip_only=True, quality=90)
    assert render_profile(sharper, among=[sharper], libvips="8.18") != profile


@pytest.mark.parametrize("first", ["", "small", "full"])
def test_its_bytes_depend_on_no_other_size_and_on_no_order(tmp_path: Path, first: str) -> None:
    original = tmp_path / "original.tif"
    paint(original, Photograph(width=300, height=200, noise=9))
    (alone,) = render_into(tmp_path / "alone", original, *SITE, FULL, wanted=("full",)).derivatives
    derivatives = render_into(tmp_path / "all", original, *SITE, FULL, first=first).derivatives
    together = next(one for one in derivatives if one.size == "full")
    assert (tmp_path / "alone" / alone.path).read_bytes() == (tmp_path / "all" / together.path).read_bytes()


@pytest.mark.parametrize(
    ("suffix", "content_type"),
    [(".tif", "image/jpeg"), (".gif", "image/jpeg"), (".avif", "image/jpeg")],
)
def test_other_formats_are_rendered_at_their_own_dimensions(tmp_path: Path, suffix: str, content_type: str) -> None:
    original = tmp_path / f"original{suffix}"
    paint(original, Photograph(width=321, height=123, gps=True))
    (made,) = render_into(tmp_path / "out", original, FULL).derivatives
    assert (made.width, made.height, made.content_type) == (321, 123, content_type)
    with PIL.Image.open(tmp_path / "out" / made.path) as shown:
        assert shown.size == (321, 123)
        assert not shown.getexif()


def test_its_memory_is_not_predicted_for_a_request_without_it(tmp_path: Path) -> None:
    original = tmp_path / "original.jpg"
    paint(original, Photograph(width=3000, height=2000, orientation=6))
    most = render_into(tmp_path / "all", original, *SITE, FULL).info.render_bytes
    scaled = render_into(tmp_path / "scaled", original, *SITE, FULL, wanted=("small",)).info.render_bytes
    assert scaled == render_into(tmp_path / "site", original, *SITE).info.render_bytes <= most


@pytest.mark.slow
@pytest.mark.parametrize(
    ("suffix", "options", "orientation"),
    [
        (".jpg", {}, 1),
        (".jpg", {}, 6),
        (".jpg", {"interlace": True}, 1),
        (".jpg", {"interlace": True}, 6),
        (".png", {"compression": 1}, 1),
        (".png", {"compression": 1}, 6),
        (".webp", {"effort": 0}, 1),
        (".webp", {"effort": 0}, 6),
        (".tif", {"tile": True}, 1),
    ],
)
def test_its_memory_at_24_megapixels_is_predicted(
    tmp_path: Path, suffix: str, options: dict[str, int], orientation: int
) -> None:
    original = tmp_path / f"original{suffix}"
    paint(original, Photograph(width=6000, height=4000, noise=6, orientation=orientation), **options)
    with RenderProcess() as process:
        answer = process.ask(Render(path=str(original), folder=str(tmp_path), sizes=(FULL,)))
        assert isinstance(answer, Derived)
        assert process.peak_bytes() <= answer.info.render_bytes


@pytest.mark.slow
@pytest.mark.parametrize(("sides", "frames"), [((600, 400), 60), ((1500, 1000), 8)])
def test_the_memory_of_a_whole_animation_is_predicted(tmp_path: Path, sides: tuple[int, int], frames: int) -> None:
    first, *others = [PIL.Image.effect_noise(sides, 20 + number % 5).convert("RGB") for number in range(frames)]
    original = tmp_path / "original.webp"
    first.save(original, save_all=True, append_images=others, method=0)
    with RenderProcess() as process:
        answer = process.ask(Render(path=str(original), folder=str(tmp_path), sizes=(FULL,)))
        assert isinstance(answer, Derived)
        assert process.peak_bytes() <= answer.info.render_bytes


def metadata_of(path: Path) -> str:
    """Return what exiftool reads, one tag a line, with its group."""
    reading = ["exiftool", "-a", "-u", "-G1", "-s", "-n", str(path)]
    return subprocess.run(reading, check=True, capture_output=True, encoding="utf-8", errors="replace").stdout


def private_values(path: Path) -> set[bytes]:
    """Return the positions, serials and names that exiftool reads in an original, as texts that files hold."""
    values = set()
    for line in metadata_of(path).splitlines():
        group, _, rest = line.partition("] ")
        tag, _, value = rest.partition(":")
        if PRIVATE.search(tag) and group not in ("[ICC_Profile", "[Composite", "[System"):
            values |= {value.strip().encode()} if len(value.strip()) > 5 else set()
    return values


@needs_corpus
@pytest.mark.needs("exiftool", "libimage-exiftool-perl")
@pytest.mark.parametrize("path", photographs(".jpg", ".mpo", ".png", ".webp"), ids=lambda path: path.name)
def test_a_photograph_is_copied_without_its_metadata_and_shows_the_same(tmp_path: Path, path: Path) -> None:
    (made,) = render_into(tmp_path, path, FULL).derivatives
    content = (tmp_path / made.path).read_bytes()
    assert not METADATA.search(metadata_of(tmp_path / made.path))
    assert not [value for value in private_values(path) if value in content]
    original = open_original(path)
    if copied(original, animation_pixels=ANIMATION_PIXELS):
        assert pixels(content) == pixels(path.read_bytes())
    assert len(content) <= path.stat().st_size
    with PIL.Image.open(io.BytesIO(content)) as shown:
        assert shown.size == original.sides


@needs_corpus
def test_a_hostile_file_is_refused_as_for_other_sizes(tmp_path: Path) -> None:
    """What the kernel limits, such as memory, may differ: each size needs another amount."""
    with RenderProcess() as process:
        for path in sorted(CORPUS.glob("hostile/*"))[:: in_ci(1, otherwise=4)]:
            codes = []
            for sizes in ((Size(name="small", width=300),), (FULL,)):
                answer = process.ask(Render(path=str(path), folder=str(tmp_path), sizes=sizes))
                assert isinstance(answer, Derived | Refusal)
                codes.append("" if isinstance(answer, Derived) else answer.code)
            assert codes[0] == codes[1], path.name


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # of metadata that mutants have damaged
def test_a_mutant_is_refused_or_shows_what_it_showed(tmp_path: Path) -> None:
    seeds = [(name, file) for name, file in sorted(fuzz.seeds().items()) if name.endswith((".jpg", ".png", ".webp"))]
    endings = {"copied": 0, "rendered": 0, "refused": 0}
    path = tmp_path / "original"
    with RenderProcess() as process:
        for number in range(count(600, otherwise=300)):
            dice = random.Random(number)  # noqa: S311 - reproducible mutants, not cryptography
            path.write_bytes(fuzz.mutate(seeds[number % len(seeds)][1], dice))
            answer = process.ask(Render(path=str(path), folder=str(tmp_path), sizes=(FULL,)))
            assert isinstance(answer, Derived | Refusal), number
            endings[ending(answer, path, number)] += 1
    assert min(endings.values()) > 0, endings


def ending(answer: Derived | Refusal, path: Path, number: int) -> str:
    """Return how a mutant ended, once its derivative is known to show the same if it is a copy."""
    if isinstance(answer, Refusal):
        return "refused"
    (derivative,) = answer.derivatives
    made = (path.parent / derivative.path).read_bytes()
    shown = pixels(made)
    if not is_copy(path, made):
        return "rendered"
    try:
        assert shown == pixels(path.read_bytes()), number
    except OSError:  # Pillow does not decode some defects that libvips does
        return "rendered"
    return "copied"


def is_copy(path: Path, made: bytes) -> bool:
    """Return whether a derivative consists of parts of its original."""
    try:
        parts = copied(open_original(path), animation_pixels=ANIMATION_PIXELS)
    except Refused:
        return False
    if not parts:
        return False
    twin = path.with_name(f"twin-{os.getpid()}")
    parts.write(twin)
    return twin.read_bytes() == made
