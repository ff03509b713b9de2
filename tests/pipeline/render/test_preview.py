"""What a page shows of a picture before it is loaded."""

from __future__ import annotations

import io
from base64 import b64decode
from pathlib import Path

import PIL.Image
import pytest
import pyvips

from pipeline.protocol import LQIP_CHARACTERS, LQIP_PREFIX, Preview, Render
from pipeline.render.preview import preview
from pipeline.render.render import Rendering
from pipeline.render.thumbhash import thumbhash
from pipeline.size import Size, base_size
from proxy.rendering.answers import is_preview
from tests.pipeline.rendering import SITE, render_into

TERMS = ((0, 37, 0), (11, 0, 0), (0, 91, 200))
"""The coefficients of a square, of a number and of one, for red, green and blue of the reference."""


def painted(width: int, height: int, *colour: int) -> pyvips.Image:
    """Return a picture of one colour, grey or sRGB, with alpha if it has one more band."""
    picture = pyvips.Image.black(width, height, bands=len(colour)).linear(1, [*colour])
    return picture.cast("uchar").copy(interpretation="b-w" if len(colour) < 3 else "srgb")


def noise(width: int, height: int, bands: int) -> pyvips.Image:
    """Return what compresses worst."""
    layers = [pyvips.Image.gaussnoise(width, height, mean=128, sigma=90, seed=seed) for seed in range(bands)]
    return layers[0].bandjoin(layers[1:]).cast("uchar").copy(interpretation="srgb")


def shown(lqip: str) -> PIL.Image.Image:
    """Decode a placeholder with Pillow."""
    with PIL.Image.open(io.BytesIO(b64decode(lqip.removeprefix(LQIP_PREFIX), validate=True))) as picture:
        picture.load()
        return picture


def previews(path: Path, *sizes: Size, wanted: tuple[str, ...] = ()) -> dict[str, Preview]:
    """Render within this process, and return the previews by size."""
    question = Render(path=str(path), folder=str(path.parent), sizes=sizes or SITE, wanted=wanted)
    return {made.size: made.preview for made in Rendering(question).run() if made.preview}


@pytest.mark.parametrize(
    ("colour", "color"),
    [((10, 200, 30), "#0ac81e"), ((77,), "#4d4d4d"), ((10, 200, 30, 255), "#0ac81e"), ((9, 9, 9, 0), "#ffffff")],
)
def test_a_picture_of_one_colour_has_that_colour(colour: tuple[int, ...], color: str) -> None:
    made = preview(painted(300, 200, *colour))
    assert made.color == color
    assert is_preview(made)
    assert shown(made.lqip).size == (32, 21)


def test_a_colour_counts_as_much_as_it_is_opaque() -> None:
    glass = painted(300, 200, 200, 10, 10, 120)
    assert preview(glass).color == "#c80a0a"
    lines = painted(296, 200, 255, 255, 255, 0).join(painted(4, 200, 16, 16, 16, 255), "horizontal")
    assert preview(lines).color == "#101010"
    mixed = preview(glass.join(painted(200, 200, 10, 10, 200, 255), "horizontal")).color
    assert int(mixed[1:3], 16) < 20  # the edge between both is a mixture
    assert int(mixed[5:], 16) > 190


def test_the_dominant_colour_is_that_of_the_largest_area_and_no_mixture() -> None:
    red, blue = painted(200, 200, 200, 16, 16), painted(100, 200, 16, 16, 200)
    color = preview(red.join(blue, "horizontal")).color
    assert color == "#c81010"


@pytest.mark.parametrize(("width", "color"), [(40, (0, 0, 0)), (200, (220, 160, 30))])
def test_a_shadow_is_dominant_only_if_it_is_much_larger(width: int, color: tuple[int, int, int]) -> None:
    lit = painted(width, 100, 220, 160, 30)
    found = bytes.fromhex(preview(painted(300, 100, 0, 0, 0).join(lit, "horizontal")).color[1:])
    assert max(abs(one - other) for one, other in zip(found, color, strict=True)) <= 2


@pytest.mark.parametrize("sides", [(1, 1), (1, 2000), (2000, 1), (3, 2), (32, 32), (33, 31)])
@pytest.mark.parametrize("bands", [1, 2, 3, 4])
def test_a_picture_of_any_dimensions_has_a_valid_preview(sides: tuple[int, int], bands: int) -> None:
    assert is_preview(preview(painted(*sides, *range(100, 100 + bands))))


@pytest.mark.parametrize("bands", [3, 4])
def test_even_noise_has_a_short_placeholder(bands: int) -> None:
    for sides in ((300, 300), (32, 32)):
        made = preview(noise(*sides, bands))
        assert is_preview(made)
        assert len(made.lqip) <= LQIP_CHARACTERS


def test_transparent_parts_stay_transparent() -> None:
    left, right = painted(100, 100, 200, 50, 50, 255), painted(100, 100, 0, 255, 0, 0)
    made = preview(left.join(right, "horizontal"))
    assert made.color == "#c83232"
    tiny = shown(made.lqip).convert("RGBA")
    assert [tiny.getpixel((x, 8))[3] for x in (4, 28)] == [255, 0]  # type: ignore[index] # of four bands


def test_only_the_base_size_has_a_preview_whichever_sizes_are_wanted(tmp_path: Path) -> None:
    path = tmp_path / "original.png"
    painted(900, 600, 10, 200, 30).pngsave(str(path))
    whole = previews(path)
    assert [*whole] == ["small"]
    assert whole["small"].color == "#0ac81e"
    assert previews(path, wanted=("small",)) == whole
    assert previews(path, wanted=("large",)) == {}


def test_the_preview_is_upright_and_the_same_whatever_is_rendered_first(tmp_path: Path) -> None:
    path = tmp_path / "original.jpg"
    picture = painted(600, 400, 10, 200, 30).copy()
    picture.set_type(pyvips.GValue.gint_type, "orientation", 6)
    picture.jpegsave(str(path))
    assert shown(previews(path)["small"].lqip).size == (21, 32)


def test_an_animation_has_the_preview_of_its_first_frame(tmp_path: Path) -> None:
    path = tmp_path / "original.gif"
    frames = [painted(60, 60, 200, 0, 0), painted(60, 60, 0, 0, 200)]
    roll = pyvips.Image.arrayjoin(frames, across=1).copy()
    roll.set_type(pyvips.GValue.gint_type, "page-height", 60)
    roll.gifsave(str(path))
    for animate in (False, True):
        made = previews(path, Size(name="moving", width=50, animate=animate))
        assert shown(made["moving"].lqip).convert("RGB").getpixel((16, 16))[0] > 150  # type: ignore[index] # of three


def test_a_wide_gamut_is_shown_in_srgb(tmp_path: Path) -> None:
    wide = painted(300, 200, 200, 40, 40).icc_export(output_profile="p3", depth=8)
    path = tmp_path / "original.png"
    wide.pngsave(str(path))
    sizes = [Size(name="small", width=100), Size(name="small", width=100, gamut="keep")]
    colours = {previews(path, size)["small"].color for size in sizes}
    assert all(abs(int(color[1:3], 16) - 200) <= 3 for color in colours)


def test_the_base_size_is_the_narrowest_that_shows_the_whole_picture() -> None:
    square = Size(name="square", width=200, height=200, fit="fill")
    assert base_size(SITE) is SITE[0]
    assert base_size([square, *SITE[1:]]) is SITE[1]
    assert base_size([square, Size(name="wide", width=300, height=100, fit="fill")]) is square


def test_a_copy_of_the_original_is_not_the_base_size() -> None:
    full = Size(name="full", strip_only=True)
    assert base_size([full, *SITE]) is SITE[0]
    assert base_size([full]) is None


def test_a_preview_changes_no_byte_of_the_derivative(tmp_path: Path) -> None:
    path = tmp_path / "original.jpg"
    noise(700, 500, 3).jpegsave(str(path))
    base, larger = Size(name="a", width=300, height=5000), Size(name="b", width=300)
    assert base_size([base, larger]) is base
    first, second = render_into(tmp_path / "out", path, base, larger).derivatives
    assert Path(first.path).read_bytes() == Path(second.path).read_bytes()


def test_a_thumbhash_has_the_bytes_of_the_reference() -> None:
    """The reference is the encoder of https://evanw.github.io/thumbhash/, in JavaScript."""
    red, green, blue = (bytes(at * at * a + at * b + c & 255 for at in range(12)) for a, b, c in TERMS)
    assert (
        thumbhash((4, 3), [red, green, blue, bytes([255] * 12)]).hex() == "1b260a358c677b9430ba48341f8788cb697510b02d"
    )
    assert (
        thumbhash((4, 3), [red, green, blue, bytes([255] * 6 + [0] * 6)]).hex()
        == "5746862c8648e379039d008aa736060775a368f78887757808"
    )
