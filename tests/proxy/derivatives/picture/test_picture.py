"""A picture as clients see it: true widths, each offered once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.size import Size
from proxy.derivatives.picture.picture import picture_of
from proxy.derivatives.recipe import Derivative, Recipe
from proxy.keys.addresses import PublicAddresses
from proxy.keys.layouts import SiteLayout
from tests.pipeline.rendering import SITE
from tests.proxy.derivatives.picture.longest import LONGEST

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.derivatives.picture.picture import PictureDescription

KEY = "gall/58/58_1_original.jpg"
BASE_URL = "https://images.example.org"


def described(sizes: Sequence[Size], *widths: int, content_type: str = "image/jpeg") -> PictureDescription:
    """Describe a picture whose derivatives have these widths."""
    recipe = recipe_of(sizes)
    found = [
        Derivative(
            size=size.name,
            key=recipe.key(KEY, size.name),
            width=width,
            height=width * 3 // 4,
            bytes=100 * width,
            content_type=content_type,
        )
        for size, width in zip(sizes, widths, strict=True)
    ]
    return picture_of(KEY, [replace(found[0], summary=LONGEST), *found[1:]], sizes, addresses=PublicAddresses(BASE_URL))


def recipe_of(sizes: Sequence[Size]) -> Recipe:
    layout = SiteLayout(sizes=tuple(size.name for size in sizes))
    return Recipe(sizes=tuple(sizes), layout=layout, cache_control="")


def address(size: str) -> str:
    return f"{BASE_URL}/gall/58/58_1_{size}.jpg"


def test_a_small_original_is_never_offered_as_wider_than_it_is() -> None:
    picture = described(SITE, 300, 512, 512, 512)
    assert picture.srcset == {"image/jpeg": f"{address('small')} 300w, {address('medium')} 512w"}
    assert [size.width for size in picture.sizes] == [300, 512, 512, 512]


def test_widths_are_in_order_whatever_the_order_of_the_sizes_file() -> None:
    picture = described(SITE[::-1], 2000, 1200, 800, 300)
    names = [("small", 300), ("medium", 800), ("large", 1200), ("xlarge", 2000)]
    assert picture.srcset["image/jpeg"] == ", ".join(f"{address(name)} {width}w" for name, width in names)


def test_crops_are_sizes_but_are_not_offered_beside_the_whole_picture() -> None:
    square = Size(name="square", width=200, height=200, fit="fill")
    picture = described([square, *SITE[:1]], 200, 300)
    assert picture.srcset == {"image/jpeg": f"{address('small')} 300w"}
    assert [size.size for size in picture.sizes] == ["square", "small"]


def test_each_content_type_has_its_own_widths() -> None:
    animated = described(SITE[:2], 300, 300, content_type="image/webp")
    assert animated.srcset == {"image/webp": f"{address('small')} 300w"}


def test_a_key_with_a_space_or_a_comma_does_not_break_a_srcset() -> None:
    recipe = recipe_of(SITE[:1])
    key = "a b,c_original.jpg"
    one = Derivative(
        size="small", key=recipe.key(key, "small"), width=300, height=200, bytes=1, content_type="image/jpeg"
    )
    picture = picture_of(key, [one], SITE[:1], addresses=PublicAddresses(BASE_URL))
    assert picture.srcset == {"image/jpeg": f"{BASE_URL}/a%20b%2Cc_small.jpg 300w"}


def test_what_is_not_known_is_null() -> None:
    recipe = recipe_of(SITE[:1])
    one = Derivative(size="small", key=recipe.key(KEY, "small"), width=0, height=0, bytes=0, content_type="image/jpeg")
    picture = picture_of(KEY, [one], SITE[:1], addresses=PublicAddresses(BASE_URL))
    assert (picture.width, picture.height, picture.format, picture.animated, picture.color) == (None,) * 5
    assert (picture.placeholder.lqip, picture.placeholder.thumbhash) == (None, None)
    assert (picture.sizes[0].width, picture.sizes[0].height, picture.sizes[0].bytes) == (None,) * 3
    assert picture.srcset == {}


def test_a_derivative_of_another_original_than_that_of_the_base_size_is_left_out() -> None:
    recipe = recipe_of(SITE)
    one = Derivative(
        size="", key="", width=1, height=1, bytes=1, content_type="image/jpeg", summary=LONGEST, original_etag="new"
    )
    made = [replace(one, size=size.name, key=recipe.key(KEY, size.name), width=size.width or 1) for size in SITE]
    small, medium, large, xlarge = made
    mixed = [small, replace(medium, original_etag="old"), replace(large, original_etag=""), xlarge]
    picture = picture_of(KEY, mixed, SITE, addresses=PublicAddresses(BASE_URL))
    assert [size.size for size in picture.sizes] == ["small", "xlarge"]
    assert picture.srcset == {"image/jpeg": f"{address('small')} 300w, {address('xlarge')} 2000w"}
    older = [replace(small, original_etag=""), medium, large, xlarge]  # nothing shows that these differ
    assert len(picture_of(KEY, older, SITE, addresses=PublicAddresses(BASE_URL)).sizes) == 4
