"""Tests of layouts that differ by prefix: the longest prefix decides, and every derivative leads back."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.errors import BadKey, UnknownSize
from proxy.keys.layouts import Layout, is_original
from proxy.keys.shadow import Shadow
from proxy.keys.where import LayoutName, Where, layout_of, outermost
from tests.proxy.keys.test_layouts import keys, segments

SIZES = ("small", "medium", "large", "xlarge")
WHERE = (
    Where(prefix="keys/", sizes=("medium", "large")),
    Where(prefix="keys/rare/", sizes=SIZES),
    Where(prefix="articles/", sizes=SIZES, layout="prefix"),
    Where(prefix="articles/old/", sizes=("small",), layout="site"),
    Where(prefix="covers/", sizes=("large",), layout="prefix"),
)


def build(key_layout: LayoutName, *where: Where, prefixes: tuple[str, ...] = ("",)) -> Layout:
    formats = dict.fromkeys(SIZES) | {"medium": "webp"}
    return layout_of(formats, where, key_layout=key_layout, originals_prefixes=prefixes, reserved="probe")


SITE, PREFIX = build("site", *WHERE), build("prefix", *WHERE)
LAYOUTS = (SITE, PREFIX, Shadow(live=SITE, prefix="shadow/"), Shadow(live=PREFIX, prefix="shadow/"))

prefixes = st.sampled_from(["", *(one.prefix for one in WHERE), "shadow/", "derivatives/", "articles", "keys/rare"])
names = st.one_of(
    segments,
    st.builds("{}_{}{}".format, segments, st.sampled_from(["original", *SIZES]), st.sampled_from(["", ".jpg", ".PNG"])),
)
any_keys = st.builds("{}{}{}".format, prefixes, st.one_of(st.just(""), keys.map("{}/".format)), names)
layouts = st.sampled_from(LAYOUTS)


@given(layouts, any_keys)
@example(SITE, "articles/5/1.jpg")
@example(SITE, "articles/5/1_small.jpg")
@example(SITE, "articles/old/1_original.jpg")
@example(SITE, "derivatives/articles/5/1_original.jpg")
@example(PREFIX, "articles/old/1_original.jpg")
def test_every_derivative_leads_back_to_its_original_and_is_none_itself(layout: Layout, original: str) -> None:
    if not is_original(layout, original):
        return
    assert layout.original_of(original) is None
    begin, pattern = layout.derivative_pattern(original)
    made = [layout.derivative(original, size) for size in layout.sizes_of(original)]
    assert len({*made}) == len(made) > 0
    for size, derivative in zip(layout.sizes_of(original), made, strict=True):
        assert layout.original_of(derivative) == (original, size)
        assert not is_original(layout, derivative)
        assert derivative.startswith(begin)
        assert pattern.fullmatch(derivative)


@given(layouts, any_keys)
@example(SITE, "keys/1_small.jpg")
@example(SITE, "derivatives/keys/1_original.jpg/medium.jpg")
def test_a_derivative_is_what_its_original_has_and_nothing_else(layout: Layout, key: str) -> None:
    if made_from := layout.original_of(key):
        assert layout.derivative(*made_from) == key
        assert made_from[1] in layout.sizes_of(made_from[0])


@given(layouts, any_keys, st.sampled_from(SIZES))
def test_a_size_that_an_original_does_not_have_is_unknown(layout: Layout, original: str, size: str) -> None:
    if size not in layout.sizes_of(original):
        with pytest.raises(UnknownSize, match=", ".join(layout.sizes_of(original))):
            layout.derivative(original, size)


@pytest.mark.parametrize(
    ("original", "expected"),
    [
        ("gall/58/58_1_original.jpg", SIZES),
        ("keys/5/1_u_original.jpg", ("medium", "large")),
        ("keys/rare/1_original.jpg", SIZES),
        ("articles/5/1.jpg", SIZES),
        ("articles/old/1_original.jpg", ("small",)),
        ("keysmith/1_original.jpg", SIZES),
    ],
)
def test_the_longest_prefix_decides(original: str, expected: tuple[str, ...]) -> None:
    SITE.check_original(original)
    assert SITE.sizes_of(original) == expected


def test_the_sentence_about_an_unknown_size_names_the_prefix_and_its_sizes() -> None:
    with pytest.raises(UnknownSize) as unknown:
        SITE.check_sizes("keys/5/1_original.jpg", ["xlarge", "huge", "medium"])
    assert str(unknown.value) == (
        "Unknown size 'xlarge', 'huge'; the sizes of keys that start with 'keys/' are medium, large."
    )
    with pytest.raises(UnknownSize, match="the sizes are small, medium, large, xlarge"):
        SITE.check_sizes("gall/5/1_original.jpg", ["huge"])


def test_a_layout_of_their_own_makes_originals_of_keys_without_original() -> None:
    assert SITE.derivative("articles/5/1699.png", "large") == "derivatives/articles/5/1699.png/large.png"
    assert SITE.derivative("articles/5/1699.png", "medium") == "derivatives/articles/5/1699.png/medium.webp"
    with pytest.raises(BadKey, match="must end in '_original'"):
        SITE.check_original("gall/5/1699.png")


def test_several_prefixes_of_originals_are_all_accepted_and_named() -> None:
    layout = build("site", *WHERE, prefixes=("articles/", "gall/"))
    assert is_original(layout, "gall/1_original.jpg")
    assert is_original(layout, "articles/1.jpg")
    with pytest.raises(BadKey, match="keys of originals start with 'articles/' or 'gall/'"):
        layout.check_original("keys/1_original.jpg")


def test_prefixes_are_walked_in_the_order_of_stores_without_those_inside_another() -> None:
    assert outermost(["keys/", "gall/", "keys/rare/", "gall/", "ü/", "a\U0001f33f/", "a\uffee/"]) == (
        "a\uffee/",
        "a\U0001f33f/",
        "gall/",
        "keys/",
        "ü/",
    )
    assert outermost([]) == ()
