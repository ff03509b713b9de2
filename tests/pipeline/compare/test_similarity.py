"""The similarity of two images, tested on painted ones whose differences are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
import pyvips

from loadtest.paint import GPS, Photograph, paint, pixels
from pipeline.compare.compare import compare
from pipeline.compare.similarity import BACKGROUND, ROTATIONS
from pipeline.protocol import Compare, Compared, Inspected, Limits, Refusal, Similarity
from tests.pipeline.rendering import seen

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WIDTH, HEIGHT = 640, 420


@pytest.fixture
def picture() -> pyvips.Image:
    """A photograph with fine detail."""
    painted = pixels(Photograph(width=2 * WIDTH, height=2 * HEIGHT, noise=60)).cast("uchar")
    return painted.copy(interpretation="srgb").gaussblur(1.2).resize(0.5).copy_memory()


def asked(folder: Path, old: pyvips.Image | None, new: pyvips.Image | None, *, suffix: str = ".png") -> Compared:
    paths: list[str | None] = []
    for name, one in (("of-old", old), ("of-new", new)):
        paths.append(str(folder / f"{name}{suffix}") if one else None)
        if one:
            one.write_to_file(paths[-1])
    return compare(Compare(folder=str(folder), old=paths[0], new=paths[1]))


def alike(folder: Path, old: pyvips.Image, new: pyvips.Image) -> Similarity:
    likeness = asked(folder, old, new).likeness
    assert likeness
    return likeness


def test_a_picture_is_like_itself(tmp_path: Path, picture: pyvips.Image) -> None:
    assert alike(tmp_path, picture, picture) == Similarity(
        turn="", score=100.0, hash_bits=0, colour=0.0, alpha=0.0, detail=1.0, profile=""
    )


UNDONE = {
    "rotated by 90 degrees": lambda one: one.rot90(),
    "rotated by 180 degrees": lambda one: one.rot180(),
    "rotated by 270 degrees": lambda one: one.rot270(),
    "mirrored left to right": lambda one: one.fliphor(),
    "mirrored top to bottom": lambda one: one.flipver(),
    "mirrored and rotated by 90 degrees": lambda one: one.rot90().fliphor(),
    "mirrored and rotated by 270 degrees": lambda one: one.rot270().fliphor(),
}


@pytest.mark.parametrize("turn", [name for name in ROTATIONS if name])
def test_a_picture_that_lies_otherwise_is_told_so_and_compared_as_it_should_lie(
    tmp_path: Path, picture: pyvips.Image, turn: str
) -> None:
    likeness = alike(tmp_path, picture, UNDONE[turn](picture))
    assert (likeness.turn, likeness.score, likeness.hash_bits) == (turn, 100.0, 0)


def test_pictures_held_otherwise_by_the_camera_are_alike_as_people_see_them(tmp_path: Path) -> None:
    for name, orientation in (("old", 1), ("new", 6)):
        paint(tmp_path / f"{name}.png", Photograph(width=300, height=200, orientation=orientation))
    compared = compare(Compare(folder=str(tmp_path), old=str(tmp_path / "old.png"), new=str(tmp_path / "new.png")))
    assert compared.likeness
    assert (compared.likeness.turn, compared.likeness.score) == ("", 100.0)
    assert isinstance(compared.new, Inspected)
    assert (compared.new.info.orientation, compared.new.info.width) == (6, 300)


def test_pictures_of_other_dimensions_are_compared_at_the_smaller_ones(tmp_path: Path, picture: pyvips.Image) -> None:
    likeness = alike(tmp_path, picture, picture.resize(0.5))
    assert likeness.score
    assert likeness.score > 90
    likeness = alike(tmp_path, picture, picture.resize(1, vscale=(HEIGHT + 1) / HEIGHT))
    assert likeness.score
    assert likeness.score > 70
    assert likeness.detail == pytest.approx(1, abs=0.1)


def test_what_was_enlarged_has_less_detail(tmp_path: Path, picture: pyvips.Image) -> None:
    small = picture.resize(0.4, kernel="linear").copy_memory()
    enlarged = small.resize(WIDTH / small.width, vscale=HEIGHT / small.height)
    assert alike(tmp_path, enlarged, picture).detail > 2
    assert alike(tmp_path, picture, enlarged).detail < 0.5


def test_smooth_pictures_do_not_differ_in_detail(tmp_path: Path) -> None:
    smooth = pyvips.Image.black(300, 200, bands=3).copy(interpretation="srgb") + 90
    speck = smooth.draw_rect([96], 100, 100, 3, 3, fill=True)
    assert alike(tmp_path, smooth.cast("uchar"), speck.cast("uchar")).detail == 1


@pytest.mark.parametrize("side", ["old", "new"])
@pytest.mark.parametrize("keeps", [True, False])
def test_colours_that_lost_their_profile_are_told_from_colours_that_shifted(
    tmp_path: Path, picture: pyvips.Image, side: str, *, keeps: bool
) -> None:
    wide = picture.icc_export(output_profile="p3", pcs="xyz").copy_memory()
    bare = wide.copy()
    bare.remove("icc-profile-data")
    other = wide if keeps else picture
    pair = (bare, other) if side == "old" else (other, bare)
    likeness = alike(tmp_path, *pair)
    assert likeness.profile == side
    assert likeness.colour > 1
    assert alike(tmp_path, picture, wide).colour < 0.5
    shifted = (picture * [0.85, 1, 1.12]).cast("uchar")
    likeness = alike(tmp_path, picture, shifted)
    assert (likeness.profile, likeness.colour > 3) == ("", True)


def test_what_is_transparent_shows_the_ground_and_counts(tmp_path: Path, picture: pyvips.Image) -> None:
    clear = picture.bandjoin(0)
    likeness = alike(tmp_path, picture, clear)
    assert likeness.alpha == pytest.approx(255)
    ground = (picture * 0 + BACKGROUND).cast("uchar")
    assert alike(tmp_path, ground, clear).score == 100


def test_pictures_of_a_few_pixels_have_no_score(tmp_path: Path) -> None:
    tiny = pixels(Photograph(width=4, height=3)).copy(interpretation="srgb")
    assert alike(tmp_path, tiny, tiny).score is None


def test_small_copies_are_written_of_what_there_is(tmp_path: Path, picture: pyvips.Image) -> None:
    compared = asked(tmp_path, picture, picture.fliphor())
    assert compared.pictures == {"old": "old.webp", "new": "new.webp", "difference": "difference.webp"}
    for name in compared.pictures.values():
        width, height = seen(str(tmp_path / name)).size
        assert (width, abs(height - 400 * HEIGHT / WIDTH) < 1) == (400, True)
    assert asked(tmp_path, picture, None).pictures == {"old": "old.webp"}
    assert asked(tmp_path, None, picture).old is None


def test_a_copy_carries_no_metadata(tmp_path: Path, picture: pyvips.Image) -> None:
    labelled = picture.copy()
    for name, value in GPS.items():
        labelled.set_type(pyvips.GValue.gstr_type, name, value)
    compared = asked(tmp_path, labelled, picture, suffix=".jpg")
    assert isinstance(compared.old, Inspected)
    assert isinstance(compared.new, Inspected)
    assert (compared.old.traces, compared.new.traces) == (("gps",), ())
    for name in compared.pictures.values():
        assert b"EXIF" not in (tmp_path / name).read_bytes()


LABELS: dict[str, Callable[[pyvips.Image], None]] = {
    "camera": lambda one: one.set_type(pyvips.GValue.gstr_type, "exif-ifd0-Make", "Painted"),
    "owner": lambda one: one.set_type(pyvips.GValue.gstr_type, "exif-ifd0-Artist", "A. Painter"),
    "xmp": lambda one: one.set_type(pyvips.GValue.blob_type, "xmp-data", b"<x:xmpmeta/>"),
    "gps, xmp": lambda one: one.set_type(pyvips.GValue.blob_type, "xmp-data", b"<x exif:GPSLatitude='47,22N'/>"),
    "iptc": lambda one: one.set_type(pyvips.GValue.blob_type, "iptc-data", b"Photoshop 3.0\0\x1c\x02\x50\0\1a"),
    "": lambda one: one.set_type(pyvips.GValue.gint_type, "orientation", 1),
}


@pytest.mark.parametrize("kinds", LABELS)
def test_kinds_of_metadata_are_named(tmp_path: Path, picture: pyvips.Image, kinds: str) -> None:
    labelled = picture.copy()
    LABELS[kinds](labelled)
    compared = asked(tmp_path, labelled, None, suffix=".jpg")
    assert isinstance(compared.old, Inspected)
    assert ", ".join(compared.old.traces) == kinds


def test_a_comment_in_a_jpeg_is_metadata_though_libvips_does_not_tell_of_it(
    tmp_path: Path, picture: pyvips.Image
) -> None:
    plain, commented = tmp_path / "plain.jpg", tmp_path / "commented.jpg"
    picture.jpegsave(str(plain), keep="none")
    start, rest = plain.read_bytes()[:2], plain.read_bytes()[2:]
    comment = b"seen at 47.22 N, 8.33 E"
    commented.write_bytes(start + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + rest)
    compared = compare(Compare(folder=str(tmp_path), old=str(commented), new=str(plain)))
    assert isinstance(compared.old, Inspected)
    assert isinstance(compared.new, Inspected)
    assert (compared.old.traces, compared.new.traces) == (("comment",), ())


def test_a_truncated_file_is_an_answer(tmp_path: Path, picture: pyvips.Image) -> None:
    whole, cut = tmp_path / "whole.jpg", tmp_path / "cut.jpg"
    picture.jpegsave(str(whole))
    cut.write_bytes(whole.read_bytes()[:-3000])
    compared = compare(Compare(folder=str(tmp_path), old=str(whole), new=str(cut)))
    assert isinstance(compared.new, Refusal)
    assert compared.new.code == "corrupt"
    assert (isinstance(compared.old, Inspected), compared.likeness) == (True, None)
    assert compared.pictures == {"old": "old.webp"}


def test_a_picture_of_too_many_pixels_is_not_decoded(tmp_path: Path, picture: pyvips.Image) -> None:
    path = tmp_path / "large.png"
    picture.write_to_file(str(path))
    few = Limits(pixels=WIDTH * HEIGHT - 1)
    compared = compare(Compare(folder=str(tmp_path), old=str(path), new=None, limits=few))
    assert isinstance(compared.old, Refusal)
    assert compared.old.code == "too-many-pixels"


def test_an_answer_survives_the_pipe(tmp_path: Path, picture: pyvips.Image) -> None:
    compared = asked(tmp_path, picture, picture)
    assert msgspec.json.decode(msgspec.json.encode(compared), type=Compared) == compared
