"""Derivatives have the right dimensions and colours, and none of the original's metadata."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Literal

import PIL.Image
import pytest
import pyvips
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import ImageStat

from loadtest.paint import CORNERS, Photograph, paint
from pipeline.errors import NotAnImage, Refused
from pipeline.protocol import Limits, Render, Rendered
from pipeline.size import Size
from tests.pipeline.rendering import SITE, needs_corpus, photographs, render, render_into, seen

TOLERANCE = 6
"""Levels of 0 to 255 by which JPEG may change a colour."""


def colour_at(picture: PIL.Image.Image, x: int, y: int) -> tuple[int, ...]:
    colour = picture.getpixel((x, y))
    return colour if isinstance(colour, tuple) else (round(colour or 0),)


def corners(path: str) -> list[tuple[int, ...]]:
    """Return the colours an eighth of a side from each corner: top left, top right, bottom left, bottom right."""
    picture = seen(path)
    across, down = picture.width // 8, picture.height // 8
    return [
        colour_at(picture, x, y)
        for y in (down, picture.height - 1 - down)
        for x in (across, picture.width - 1 - across)
    ]


def assert_painted(path: str, *, tolerance: float = TOLERANCE) -> None:
    for shown, painted in zip(corners(path), CORNERS, strict=True):
        assert max(abs(a - b) for a, b in zip(shown, painted, strict=True)) <= tolerance, (shown, painted)


def assert_is_what_it_says(derivative: Rendered) -> None:
    picture = seen(derivative.path)
    assert picture.size == (derivative.width, derivative.height)
    assert Path(derivative.path).stat().st_size == derivative.bytes
    assert derivative.content_type == PIL.Image.MIME[str(picture.format)]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_comes_out_upright_with_the_tag_gone(tmp_path: Path, orientation: int) -> None:
    original = tmp_path / "original.jpg"
    paint(original, Photograph(width=640, height=480, orientation=orientation))
    for derivative in render_into(
        tmp_path / "out", original, Size(name="a", width=640), Size(name="b", width=90)
    ).derivatives:
        assert (derivative.width, derivative.height) == ((640, 480) if derivative.size == "a" else (90, 68))
        assert_painted(derivative.path)
        assert not seen(derivative.path).getexif()


@pytest.mark.parametrize("orientation", [1, 6])
def test_fill_crops_the_upright_picture(tmp_path: Path, orientation: int) -> None:
    original = tmp_path / "original.jpg"
    paint(original, Photograph(width=640, height=400, orientation=orientation))
    square = Size(name="square", width=100, height=100, fit="fill")
    tall = Size(name="tall", width=50, height=300, fit="fill", position="attention")
    derivatives = render_into(tmp_path / "out", original, square, tall).derivatives
    assert [(derivative.width, derivative.height) for derivative in derivatives] == [(100, 100), (50, 300)]
    assert_painted(derivatives[0].path)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_a_derivative_has_the_format_of_its_original(tmp_path: Path, suffix: str) -> None:
    original = tmp_path / f"original{suffix}"
    paint(original, Photograph(width=500, height=400))
    for derivative in render_into(tmp_path / "out", original).derivatives:
        assert derivative.path.endswith(suffix)
        assert_is_what_it_says(derivative)
        assert_painted(derivative.path)


@pytest.mark.parametrize("name", ["jpeg", "png", "webp", "avif"])
def test_a_size_may_choose_another_format(tmp_path: Path, name: str) -> None:
    original = tmp_path / "original.png"
    paint(original, Photograph(width=500, height=400))
    size = Size(name="a", width=100, format=name)  # type: ignore[arg-type] # parametrised
    (derivative,) = render_into(tmp_path / "out", original, size).derivatives
    assert derivative.content_type == f"image/{name}"
    assert_is_what_it_says(derivative)


def test_nothing_is_enlarged(tmp_path: Path) -> None:
    original = tmp_path / "original.jpg"
    paint(original, Photograph(width=120, height=90))
    derivatives = render_into(tmp_path / "out", original).derivatives
    assert {(derivative.width, derivative.height) for derivative in derivatives} == {(120, 90)}


@pytest.mark.slow
def test_a_derivative_is_the_same_bytes_whatever_is_asked_along_with_it(tmp_path: Path) -> None:
    original = tmp_path / "original.jpg"
    paint(original, Photograph(width=2600, height=1700, orientation=8, noise=20))
    together = render_into(tmp_path / "all", original).derivatives
    for derivative in together:
        (alone,) = render_into(tmp_path / derivative.size, original, wanted=(derivative.size,)).derivatives
        assert Path(alone.path).read_bytes() == Path(derivative.path).read_bytes()
        assert alone.profile == derivative.profile


def test_fine_detail_keeps_its_brightness(tmp_path: Path) -> None:
    """Black and white lines one pixel wide reflect half the light, which is 188 in sRGB, not 128."""
    original = tmp_path / "lines.png"
    lines = pyvips.Image.new_from_memory(bytes((0, 255)), 2, 1, 1, "uchar").replicate(500, 800)
    lines.copy(interpretation="b-w").write_to_file(str(original))
    derivatives = render_into(
        tmp_path / "out", original, Size(name="a", width=250), Size(name="whole", width=1000)
    ).derivatives
    assert ImageStat.Stat(seen(derivatives[0].path)).mean == pytest.approx([188], abs=1)


def test_fine_detail_keeps_its_brightness_in_a_recipe_of_small_sizes(tmp_path: Path) -> None:
    """The decoder could shrink such a JPEG itself, but would average sRGB values."""
    original = tmp_path / "lines.jpg"
    lines = pyvips.Image.new_from_memory(bytes((0, 255)), 2, 1, 1, "uchar").replicate(1000, 1500)
    lines.copy(interpretation="b-w").write_to_file(str(original), Q=95)
    (derivative,) = render_into(tmp_path / "out", original, Size(name="a", width=250)).derivatives
    assert ImageStat.Stat(seen(derivative.path)).mean == pytest.approx([188], abs=1)


def test_fine_detail_keeps_its_brightness_in_the_sizes_of_the_site(tmp_path: Path) -> None:
    original = tmp_path / "lines.png"
    lines = pyvips.Image.new_from_memory(bytes((0, 255)), 2, 1, 1, "uchar").replicate(2400, 1200)
    lines.copy(interpretation="b-w").write_to_file(str(original))
    sizes = [Size(name=f"w{width}", width=width) for width in (300, 800, 1200, 2000)]
    for derivative in render_into(tmp_path / "out", original, *sizes).derivatives:
        assert ImageStat.Stat(seen(derivative.path)).mean == pytest.approx([188], abs=1)


@pytest.fixture
def animation(tmp_path: Path) -> Path:
    frames = [PIL.Image.new("RGB", (120, 80), colour) for colour in CORNERS]
    path = tmp_path / "animation.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=[40, 80, 120, 160], loop=0)
    return path


def test_an_animation_is_its_first_frame(tmp_path: Path, animation: Path) -> None:
    (derivative,) = render_into(tmp_path / "out", animation, Size(name="a", width=60)).derivatives
    assert derivative.content_type == "image/jpeg"
    assert colour_at(seen(derivative.path), 30, 20) == pytest.approx(CORNERS[0], abs=TOLERANCE)


@pytest.mark.parametrize("fit", ["limit", "fill"])
def test_an_animation_moves_where_the_size_says_so(
    tmp_path: Path, animation: Path, fit: Literal["limit", "fill"]
) -> None:
    size = Size(name="a", width=60, height=30, fit=fit, animate=True, quality=95)
    (derivative,) = render_into(tmp_path / "out", animation, size).derivatives
    assert derivative.content_type == "image/webp"
    with PIL.Image.open(derivative.path) as moving:
        assert moving.size == (derivative.width, derivative.height) == ((45, 30) if fit == "limit" else (60, 30))
        for number, painted in enumerate(CORNERS):
            moving.seek(number)
            moving.load()
            assert moving.info["duration"] == 40 * (number + 1)
            assert colour_at(moving.convert("RGB"), 20, 20) == pytest.approx(painted, abs=14)


def test_an_animation_over_its_budget_is_its_first_frame(tmp_path: Path, animation: Path) -> None:
    limits = Limits(animation_pixels=120 * 80 * 4 - 1)
    sizes = (Size(name="a", width=60, animate=True),)
    question = Render(path=str(animation), folder=str(tmp_path), sizes=sizes, limits=limits)
    assert render(question).derivatives[0].content_type == "image/jpeg"


def test_what_is_transparent_does_not_bleed_into_what_is_not(tmp_path: Path) -> None:
    original = tmp_path / "stripes.png"
    stripes = pyvips.Image.new_from_memory(bytes((200, 40, 40, 255, 0, 255, 0, 0)), 2, 1, 4, "uchar").replicate(
        500, 600
    )
    stripes.copy(interpretation="srgb").write_to_file(str(original))
    for derivative in render_into(
        tmp_path / "out", original, Size(name="a", width=400), Size(name="b", width=100)
    ).derivatives:
        red, green, blue, alpha = colour_at(seen(derivative.path), 40, 40)
        assert (red, green, blue) == pytest.approx((200, 40, 40), abs=4)
        assert alpha == pytest.approx(128, abs=8)


def test_jpeg_lays_transparency_on_white(tmp_path: Path) -> None:
    original = tmp_path / "clear.png"
    pyvips.Image.black(50, 50, bands=4).copy(interpretation="srgb").write_to_file(str(original))
    (derivative,) = render_into(tmp_path / "out", original, Size(name="a", width=40, format="jpeg")).derivatives
    assert colour_at(seen(derivative.path), 20, 20) == (255, 255, 255)


def test_a_text_is_not_an_image(tmp_path: Path) -> None:
    original = tmp_path / "original.jpg"
    original.write_text("Once upon a time there was a gall.")
    with pytest.raises(NotAnImage):
        render_into(tmp_path / "out", original)


@needs_corpus
@pytest.mark.parametrize("photograph", photographs(), ids=lambda path: path.name)
def test_every_photograph_renders(tmp_path: Path, photograph: Path) -> None:
    derived = render_into(tmp_path, photograph)
    for size, derivative in zip(SITE, derived.derivatives, strict=True):
        assert_is_what_it_says(derivative)
        expected = size.dimensions(width=derived.info.width, height=derived.info.height)
        assert (derivative.width, derivative.height) == expected


@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.tuples(st.integers(1, 2500), st.integers(1, 2500)),
    st.integers(1, 600),
    st.sampled_from([".jpg", ".png", ".webp"]),
    st.integers(1, 8),
)
def test_every_shape_comes_out_at_its_exact_dimensions(
    tmp_path: Path, sides: tuple[int, int], width: int, suffix: str, orientation: int
) -> None:
    original = tmp_path / f"original{suffix}"
    paint(original, Photograph(width=sides[0], height=sides[1], orientation=orientation, noise=30))
    size = Size(name="a", width=width)
    (derivative,) = render_into(tmp_path / "out", original, size).derivatives
    expected = size.dimensions(width=sides[0], height=sides[1])
    assert (derivative.width, derivative.height) == expected == seen(derivative.path).size


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([".gif", ".tif", ".avif", ".webp"]), st.floats(0, 1), st.binary(max_size=40), st.floats(0, 1))
def test_what_is_cut_or_scribbled_upon_raises_our_errors_only(
    tmp_path: Path, suffix: str, cut: float, scribble: bytes, where: float
) -> None:
    original = tmp_path / f"original{suffix}"
    if not original.exists():
        paint(original, Photograph(width=90, height=60, noise=20))
    content = bytearray(original.read_bytes())
    start = int(where * len(content))
    content[start : start + len(scribble)] = scribble
    mutant = tmp_path / "mutant"
    mutant.write_bytes(content[: int(cut * len(content))])
    with suppress(Refused):
        assert render_into(tmp_path / "out", mutant, Size(name="a", width=30)).derivatives


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\x40\0\0\0WEBP", b""]), st.binary(max_size=400))
def test_bytes_at_random_raise_our_errors_only(tmp_path: Path, magic: bytes, rest: bytes) -> None:
    original = tmp_path / "original"
    original.write_bytes(magic + rest)
    with pytest.raises(Refused):
        render_into(tmp_path / "out", original)
