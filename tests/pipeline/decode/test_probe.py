"""A probe returns the properties of an original from its header, and refuses originals above the limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from loadtest.paint import Photograph, paint, pixels
from pipeline.errors import Corrupt, TooManyFrames, TooManyPixels
from pipeline.image import vips
from pipeline.protocol import Limits
from pipeline.size import Size
from tests.pipeline.rendering import CORPUS, SITE, needs_corpus, probe

if TYPE_CHECKING:
    from pathlib import Path


def test_width_and_height_are_as_a_person_sees_them(tmp_path: Path) -> None:
    path = tmp_path / "original.jpg"
    paint(path, Photograph(width=300, height=200, orientation=6), interlace=True)
    info = probe(path, limits=Limits())
    assert (info.width, info.height, info.orientation) == (300, 200, 6)
    assert (info.format, info.bands, info.bits, info.frames) == ("jpeg", 3, 8, 1)
    assert info.is_progressive
    assert not info.has_alpha


def test_too_many_pixels_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "original.png"
    paint(path, Photograph(width=300, height=200))
    assert probe(path, limits=Limits(pixels=60_000)).width == 300
    with pytest.raises(TooManyPixels, match="megapixels"):
        probe(path, limits=Limits(pixels=59_999))


def test_a_limit_below_a_megapixel_is_said_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "original.png"
    paint(path, Photograph(width=300, height=200))
    with pytest.raises(TooManyPixels, match=r"0\.06 megapixels, but the limit is 0\.03"):
        probe(path, limits=Limits(pixels=30_000))


@needs_corpus
def test_too_many_frames_are_refused() -> None:
    path = CORPUS / "photos" / "Pillow__iss634.webp"
    assert probe(path, limits=Limits(frames=42)).frames == 42
    with pytest.raises(TooManyFrames):
        probe(path, limits=Limits(frames=41))


def test_a_header_that_makes_no_sense_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "original.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(40))
    with pytest.raises(Corrupt):
        probe(path, limits=Limits())


def test_a_progressive_picture_takes_more_memory_than_a_baseline_one(tmp_path: Path) -> None:
    baseline, progressive = tmp_path / "baseline.jpg", tmp_path / "progressive.jpg"
    paint(baseline)
    paint(progressive, interlace=True)
    least, most = (probe(path, limits=Limits(), sizes=SITE).render_bytes for path in (baseline, progressive))
    assert most - least >= 4000 * 3000


def test_an_animation_that_is_too_much_to_move_is_predicted_as_its_first_frame(tmp_path: Path) -> None:
    path = tmp_path / "original.gif"
    join_frames = vips.join_frames([pixels(Photograph(width=100, height=50, noise=9, seed=seed)) for seed in range(4)])
    join_frames.write_to_file(str(path))
    moving = (Size(name="a", width=60, animate=True),)
    is_animated, stands = (probe(path, limits=Limits(animation_pixels=most), sizes=moving) for most in (20_000, 19_999))
    assert is_animated.render_bytes - stands.render_bytes == 3 * 20_000 * is_animated.bands
