"""Tests of keys: syntax, layouts and encoding in URLs."""

from __future__ import annotations

import contextlib
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.errors import BadKey, UnknownSize
from proxy.keys.layouts import Layout, PrefixLayout, SiteLayout
from proxy.keys.shadow import Shadow
from proxy.keys.syntax import MAX_KEY_BYTES, check_key, decode_path, url

SIZES = ("small", "medium", "large", "xlarge", "square-200")
SITE = SiteLayout(sizes=SIZES)
PREFIX = PrefixLayout(sizes=SIZES, formats={"square-200": "webp", "medium": "jpeg"})
SHADOWS = [Shadow(live=layout, prefix="shadow/") for layout in (SITE, PREFIX)]
LAYOUTS: tuple[Layout, ...] = (SITE, PREFIX, *SHADOWS)

segments = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="/"), min_size=1, max_size=40
).filter(lambda segment: segment not in {".", ".."})
keys = st.lists(segments, min_size=1, max_size=5).map("/".join)
site_originals = st.builds(
    "{}/{}_original{}".format, keys, st.one_of(st.just(""), segments), st.sampled_from(["", ".jpg", ".JPEG", ".png"])
)
sizes = st.sampled_from(SIZES)


@given(keys)
def test_a_key_that_any_store_holds_is_no_fault(key: str) -> None:
    check_key(key)


@pytest.mark.parametrize(
    ("key", "fault"),
    [
        ("", "is empty"),
        ("a" * 1025, "longer than 1024 bytes"),
        ("é" * 513, "longer than 1024 bytes"),
        ("a\x00b", "control character"),
        ("a\nb", "control character"),
        ("a\x7fb", "control character"),
        ("a\x85b", "control character"),
        ("a\ud800b", "surrogate"),
        ("/a", "starts or ends with '/'"),
        ("a/", "starts or ends with '/'"),
        ("/", "starts or ends with '/'"),
        ("a//b", "empty segment; send the key without it"),
        ("http://127.0.0.1:8080/img/a.jpg/small", "send a key, not a URL"),
        ("a/./b", "segment '.' or '..'"),
        ("../a", "segment '.' or '..'"),
        ("a/..", "segment '.' or '..'"),
    ],
)
def test_what_no_store_can_hold_is_refused_by_its_fault(key: str, fault: str) -> None:
    with pytest.raises(BadKey, match=fault):
        check_key(key)
    for layout in LAYOUTS:
        with pytest.raises(BadKey, match=fault):
            layout.check_original(key)
        assert layout.original_of(key) is None


@given(st.text())
def test_a_key_is_either_fine_or_a_bad_key(key: str) -> None:
    with contextlib.suppress(BadKey):
        check_key(key)
        assert 0 < len(key.encode()) <= MAX_KEY_BYTES


@given(st.text(min_size=1).map("/{}".format))
def test_a_fault_is_told_in_ascii_so_that_no_key_can_break_a_log_line_or_a_header(key: str) -> None:
    with pytest.raises(BadKey) as caught:
        check_key(key)
    assert str(caught.value).isascii()


def test_the_longest_key_has_1024_bytes() -> None:
    check_key("é" * 512)


@given(keys)
@example("a+b c%2Fd/%/e\u0301é?#&=;@:")
def test_a_key_comes_back_from_its_address(key: str) -> None:
    address = url("https://images.example/bucket/", key)
    assert address.isascii()
    assert "+" not in address
    path = urlsplit(address).path.encode()
    assert decode_path(path.removeprefix(b"/bucket/")) == key


def test_a_path_is_decoded_exactly_once() -> None:
    assert decode_path(b"a%252Fb+c%20d") == "a%2Fb+c d"


@pytest.mark.parametrize("raw", [b"%", b"a%2", b"%zz", b"%%41", b"%u0041", b"%C3", b"%ff", b"%ED%A0%80", b"%C0%AF"])
def test_a_path_with_a_broken_escape_or_broken_utf_8_is_refused(raw: bytes) -> None:
    with pytest.raises(BadKey):
        decode_path(raw)


@given(st.binary(max_size=50))
def test_any_path_is_a_text_or_a_bad_key(raw: bytes) -> None:
    with contextlib.suppress(BadKey):
        decode_path(raw).encode()


@given(site_originals, sizes)
@example("a_original.b_original", "small")
@example("a_small.b_original", "small")
@example("_original", "small")
@example("original_original/x_original_original.jpg", "large")
def test_the_sites_derivative_leads_back_to_its_original(original: str, size: str) -> None:
    assert SITE.original_of(SITE.derivative(original, size)) == (original, size)


@given(keys, sizes)
@example("a/small.jpg", "small")
@example("no extension", "small")
def test_a_prefixed_derivative_leads_back_to_its_original(original: str, size: str) -> None:
    assert PREFIX.original_of(PREFIX.derivative(original, size)) == (original, size)


@pytest.mark.parametrize("layout", LAYOUTS)
@given(original=site_originals, size=sizes)
def test_a_derivatives_key_is_never_an_originals(layout: Layout, original: str, size: str) -> None:
    derivative = layout.derivative(original, size)
    with pytest.raises(BadKey, match="not that of an original"):
        layout.check_original(derivative)
    assert layout.original_of(original) is None


@pytest.mark.parametrize("layout", LAYOUTS)
@given(original=keys, size=sizes)
def test_what_leads_back_to_an_original_is_exactly_what_was_made_of_it(
    layout: Layout, original: str, size: str
) -> None:
    for key in (original, f"{original}_{size}.jpg", f"derivatives/{original}/{size}.jpg"):
        found = layout.original_of(key)
        assert found is None or layout.derivative(*found) == key


def test_the_live_sites_names_are_kept() -> None:
    assert SITE.derivative("gall/58/58_1586986467_original.jpg", "small") == "gall/58/58_1586986467_small.jpg"
    assert SITE.derivative("gall/58/v1.2_original", "xlarge") == "gall/58/v1.2_xlarge"


@pytest.mark.parametrize(
    "key",
    ["gall/58/58.jpg", "58_original/a.jpg", "58_original.tar.gz", "58_small.jpg", "a_Original.jpg", "original.jpg"],
)
def test_the_sites_originals_end_in_original(key: str) -> None:
    with pytest.raises(BadKey, match="_original"):
        SITE.check_original(key)


@pytest.mark.parametrize(
    ("original", "size", "key"),
    [
        ("a/b.jpg", "small", "derivatives/a/b.jpg/small.jpg"),
        ("a/b.JPEG", "small", "derivatives/a/b.JPEG/small.jpg"),
        ("a/b.png", "small", "derivatives/a/b.png/small.png"),
        ("a/b.webp", "small", "derivatives/a/b.webp/small.webp"),
        ("a/b.heic", "small", "derivatives/a/b.heic/small.jpg"),
        ("a.png/b", "small", "derivatives/a.png/b/small.jpg"),
        ("png", "small", "derivatives/png/small.jpg"),
        ("a/b.png", "medium", "derivatives/a/b.png/medium.jpg"),
        ("a/b.png", "square-200", "derivatives/a/b.png/square-200.webp"),
    ],
)
def test_a_prefixed_derivative_is_named_by_its_size_and_format(original: str, size: str, key: str) -> None:
    assert PREFIX.derivative(original, size) == key


@pytest.mark.parametrize(
    "layout",
    [SiteLayout(sizes=SIZES, originals_prefixes=("gall/",)), PrefixLayout(sizes=SIZES, originals_prefixes=("gall/",))],
)
def test_originals_lie_inside_their_prefix(layout: Layout) -> None:
    layout.check_original("gall/1_original.jpg")
    with pytest.raises(BadKey, match="start with 'gall/'"):
        layout.check_original("gallery/1_original.jpg")
    assert layout.original_of("gallery/1_small.jpg") is None
    assert layout.original_of("derivatives/gallery/1_original.jpg/small.jpg") is None


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_original_leaves_room_for_its_derivatives_keys(layout: Layout) -> None:
    fits = "a" * (MAX_KEY_BYTES - len("shadow/derivatives/_original.jpg/square-200.webp")) + "_original.jpg"
    layout.check_original(fits)
    with pytest.raises(BadKey, match="keys of its derivatives would exceed"):
        layout.check_original("a" * (MAX_KEY_BYTES - len("_original.jpg")) + "_original.jpg")


@pytest.mark.parametrize("shadow", SHADOWS)
@given(original=site_originals, size=sizes)
def test_a_shadow_is_the_live_name_below_its_prefix_and_nothing_else_is_one(
    shadow: Shadow, original: str, size: str
) -> None:
    live = shadow.live.derivative(original, size)
    assert shadow.derivative(original, size) == f"shadow/{live}"
    assert shadow.original_of(live) is None
    begin, pattern = shadow.derivative_pattern(original)
    assert f"shadow/{live}".startswith(begin)
    assert pattern.fullmatch(f"shadow/{live}")
    assert not pattern.fullmatch(live)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_size_that_is_not_there_is_unknown(layout: Layout) -> None:
    with pytest.raises(UnknownSize, match="the sizes are small, medium"):
        layout.derivative("1_original.jpg", "huge")


@pytest.mark.parametrize("name", ["original", "a_b", "a.b", "a/b", ""])
def test_a_size_whose_name_would_confuse_keys_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cannot have a place among keys"):
        SiteLayout(sizes=("small", name))
    with pytest.raises(ValueError, match="cannot have a place among keys"):
        PrefixLayout(sizes=("small", name))


def test_originals_cannot_lie_among_derivatives() -> None:
    with pytest.raises(ValueError, match="where derivatives lie"):
        PrefixLayout(sizes=SIZES, originals_prefixes=("derivatives/x/",))


@pytest.mark.parametrize("key", ["g/._1_original.jpg", "._1_original.jpg"])
def test_what_macos_leaves_beside_a_file_is_no_original(key: str) -> None:
    for layout in (SITE, PREFIX):
        with pytest.raises(BadKey, match="macOS"):
            layout.check_original(key)


@pytest.mark.parametrize("name", [".DS_Store", "Thumbs.db", "desktop.ini"])
def test_what_desktops_leave_in_folders_is_no_original(name: str) -> None:
    for key in (name, f"photos/{name}"):
        with pytest.raises(BadKey):
            PREFIX.check_original(key)


def test_names_that_only_resemble_those_are_originals() -> None:
    for key in ("g/.1_original.jpg", "g/_1_original.jpg", "._g/1_original.jpg"):
        SITE.check_original(key)


@pytest.mark.parametrize("key", ["gallformers-images/write-probe", "a/b_original.jpg"])
def test_the_key_that_the_service_itself_writes_is_never_an_originals(key: str) -> None:
    for layout in (SiteLayout(sizes=SIZES, reserved=key), PrefixLayout(sizes=SIZES, reserved=key)):
        with pytest.raises(BadKey, match="not that of an original"):
            layout.check_original(key)
    PrefixLayout(sizes=SIZES).check_original(key)
