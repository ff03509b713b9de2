"""An original is either decoded completely or refused; harmless defects are tolerated."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import PIL.Image
import pytest
import pyvips

from loadtest.paint import Photograph, paint
from pipeline.decode.original import open_original
from pipeline.errors import Corrupt, UnsupportedFormat
from pipeline.image import vips
from pipeline.size import Size
from tests.pipeline.render.test_render import assert_painted
from tests.pipeline.rendering import render_into, seen

if TYPE_CHECKING:
    from collections.abc import Callable

EOI = b"\xff\xd9"
FRAMES = 4


def photograph(tmp_path: Path, suffix: str = ".jpg", **options: float) -> Path:
    path = tmp_path / f"original{suffix}"
    path.write_bytes(painted(suffix, **options))
    return path


@cache
def painted(suffix: str, **options: float) -> bytes:
    """Return the bytes of a photograph; encoding takes longer than the tests themselves."""
    with TemporaryDirectory() as folder:
        path = Path(folder, f"original{suffix}")
        paint(path, Photograph(width=900, height=700, noise=4), **options)
        return path.read_bytes()


def join_frames(tmp_path: Path, suffix: str) -> Path:
    """Write an animation of noise, so that all frames have about the same length in bytes."""
    path = tmp_path / f"original{suffix}"
    first, *others = (PIL.Image.effect_noise((160, 120), 40 + frame).convert("RGB") for frame in range(FRAMES))
    first.save(path, save_all=True, append_images=others)
    return path


def cut(path: Path, tenths: int) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * tenths // 10])


@pytest.mark.parametrize(
    ("original", "widths", "times"),
    [
        ((4000, 3000), [800], 2),
        ((4000, 3000), [800, 300], 2),
        ((2912, 4368), [800], 2),
        ((3999, 3000), [800], 1),  # half of it would be shorter than 2000
        ((4000, 3000), [800, 1200], 1),
        ((4000, 3000), [1200], 1),
        ((8000, 6000), [300], 4),
        ((4000, 3000), [2000, 1200, 800, 300], 1),
        ((7199, 4800), [2000, 1200, 800, 300], 1),
        ((7200, 4800), [2000, 1200, 800, 300], 2),
    ],
)
def test_a_photograph_is_decoded_at_half_the_size_where_enough_is_left(
    tmp_path: Path, original: tuple[int, int], widths: list[int], times: int
) -> None:
    path, sizes = tmp_path / "original.jpg", [Size(name=f"w{width}", width=width) for width in widths]
    vips.save(vips.from_bytes(bytes(original[0] * original[1]), original, bands=1), "jpegsave", path)
    opened = open_original(path)
    largest = max(sizes, key=lambda size: size.width).cover(width=original[0], height=original[1])
    assert opened.shrink(largest) == times


@pytest.mark.parametrize("tenths", [1, 5, 9])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".gif", ".tif", ".avif"])
def test_a_file_that_ends_early_is_refused(tmp_path: Path, suffix: str, tenths: int) -> None:
    original = photograph(tmp_path, suffix)
    cut(original, tenths)
    with pytest.raises(Corrupt):
        render_into(tmp_path / "out", original)


@pytest.mark.parametrize("tenths", [3, 5, 9])
@pytest.mark.parametrize("animate", [False, True])
@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_an_animation_that_ends_early_is_refused(tmp_path: Path, suffix: str, *, animate: bool, tenths: int) -> None:
    original = join_frames(tmp_path, suffix)
    cut(original, tenths)
    with pytest.raises(Corrupt):
        render_into(tmp_path / "out", original, Size(name="a", width=100, animate=animate))


@pytest.mark.parametrize("ending", [b"", b"\0" * 8, b";", b"; and more"])
def test_a_gif_is_whole_whatever_is_behind_its_last_frame(tmp_path: Path, ending: bytes) -> None:
    original = join_frames(tmp_path, ".gif")
    original.write_bytes(original.read_bytes().removesuffix(b";") + ending)
    (derivative,) = render_into(tmp_path / "out", original, Size(name="a", width=100, animate=True)).derivatives
    with PIL.Image.open(derivative.path) as moving:
        assert getattr(moving, "n_frames", 1) == FRAMES


@pytest.mark.parametrize("interlace", [False, True])
def test_a_jpeg_that_was_cut_and_closed_is_refused(tmp_path: Path, *, interlace: bool) -> None:
    """It has an end marker, so only the decoder's warning shows that its lower half would be grey."""
    original = photograph(tmp_path, interlace=interlace)
    cut(original, 6)
    original.write_bytes(original.read_bytes() + EOI)
    with pytest.raises(Corrupt):
        render_into(tmp_path / "out", original)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".gif", ".tif"])
def test_garbage_behind_the_picture_is_ignored(tmp_path: Path, suffix: str) -> None:
    original = photograph(tmp_path, suffix)
    original.write_bytes(original.read_bytes() + bytes(range(200)))
    for derivative in render_into(tmp_path / "out", original).derivatives:
        assert_painted(derivative.path, tolerance=30)


def test_garbage_between_the_picture_and_its_end_is_ignored(tmp_path: Path) -> None:
    original = photograph(tmp_path)
    content = original.read_bytes()
    original.write_bytes(content.removesuffix(EOI) + b"\0" * 16 + EOI)
    assert render_into(tmp_path / "out", original).derivatives


def with_litter(content: bytes) -> bytes:
    """Insert stray bytes before a JPEG's first table: libjpeg warns about them and about nothing that follows."""
    table = content.index(b"\xff\xc4")
    return content[:table] + bytes(8) + content[table:]


def with_odd_scan(content: bytes) -> bytes:
    """Change the only scan's header to declare the first coefficient alone, as some cameras do."""
    start = content.index(b"\xff\xda\0\x0c") + 11
    return content[:start] + bytes(2) + content[start + 2 :]


def with_odd_colours(content: bytes) -> bytes:
    """Insert an Adobe segment with a colour code that Adobe does not define."""
    return content[:2] + b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\x05" + content[2:]


def with_litter_behind(content: bytes) -> bytes:
    return content.removesuffix(EOI) + b"\0" * 16 + EOI


LITTER = (with_litter, with_odd_scan, with_odd_colours, with_litter_behind)


@pytest.mark.parametrize("first", LITTER)
@pytest.mark.parametrize("second", [*LITTER, bytes])
def test_litter_in_a_jpeg_is_ignored(
    tmp_path: Path, first: Callable[[bytes], bytes], second: Callable[[bytes], bytes]
) -> None:
    original = photograph(tmp_path)
    original.write_bytes(second(first(original.read_bytes())))
    for derivative in render_into(tmp_path / "out", original).derivatives:
        assert_painted(derivative.path, tolerance=30)


@pytest.mark.parametrize("litter", LITTER)
@pytest.mark.parametrize("restart", [0, 4])
def test_litter_hides_no_loss(tmp_path: Path, litter: Callable[[bytes], bytes], restart: int) -> None:
    original = photograph(tmp_path, restart_interval=restart)
    cut(original, 6)
    original.write_bytes(litter(original.read_bytes() + EOI))
    with pytest.raises(Corrupt):
        render_into(tmp_path / "out", original)


def test_litter_that_begins_between_two_restarts_hides_no_loss(tmp_path: Path) -> None:
    original = photograph(tmp_path, restart_interval=4)
    content = original.read_bytes()
    restart = content.index(b"\xff\xd3", len(content) // 2)
    original.write_bytes(content[:restart] + b"\0" * 16 + EOI)
    with pytest.raises(Corrupt):
        render_into(tmp_path / "out", original)


def test_a_jpeg_that_was_cut_between_two_scans_and_closed_is_refused(tmp_path: Path) -> None:
    original = photograph(tmp_path, interlace=True)
    content = original.read_bytes()
    for _ in range(content.count(b"\xff\xda") - 1):
        content = content[: content.rindex(b"\xff\xda")]
        original.write_bytes(content + EOI)
        with pytest.raises(Corrupt):
            render_into(tmp_path / "out", original)


def test_a_progressive_jpeg_of_inks_of_which_one_is_not_used_is_whole(tmp_path: Path) -> None:
    """An empty scan is two bytes long, and the next one may start right after it."""
    original = tmp_path / "original.jpg"
    PIL.Image.new("CMYK", (320, 240), (200, 40, 90, 0)).save(original, progressive=True)
    (derivative,) = render_into(tmp_path / "out", original, Size(name="small", width=160)).derivatives
    assert (derivative.width, derivative.height) == (160, 120)


def test_a_broken_exif_block_is_ignored(tmp_path: Path) -> None:
    original = photograph(tmp_path)
    content = bytearray(original.read_bytes())
    start = content.index(b"Exif\0\0") + 6
    content[start + 8 : start + 40] = b"\xff" * 32
    original.write_bytes(content)
    for derivative in render_into(tmp_path / "out", original).derivatives:
        assert_painted(derivative.path, tolerance=30)


@pytest.mark.parametrize("suffix", [".gif", ".tif", ".avif"])
def test_what_browsers_do_not_all_show_becomes_jpeg(tmp_path: Path, suffix: str) -> None:
    for derivative in render_into(tmp_path / "out", photograph(tmp_path, suffix)).derivatives:
        assert derivative.content_type == "image/jpeg"
        assert_painted(derivative.path, tolerance=30)


def test_measurements_are_no_picture(tmp_path: Path) -> None:
    original = tmp_path / "original.tif"
    pyvips.Image.black(9, 9).cast("float").write_to_file(str(original))
    with pytest.raises(UnsupportedFormat, match="float"):
        open_original(original)


@pytest.mark.parametrize(("bands", "mode"), [(1, "L"), (2, "LA"), (3, "RGB"), (4, "RGBA"), (7, "RGBA")])
def test_nameless_bands_are_grey_or_colours(tmp_path: Path, bands: int, mode: str) -> None:
    original = tmp_path / "original.tif"
    pyvips.Image.black(40, 30, bands=bands).copy(interpretation="multiband").write_to_file(str(original))
    (derivative,) = render_into(tmp_path / "out", original, Size(name="a", width=20, format="png")).derivatives
    assert (derivative.width, derivative.height) == (20, 15)
    assert seen(derivative.path).mode == mode


@pytest.mark.parametrize("photograph_bits", [1, 2, 4])
def test_a_png_of_few_bits_is_read(tmp_path: Path, photograph_bits: int) -> None:
    original = tmp_path / "original.png"
    ramp = pyvips.Image.identity().copy(interpretation="b-w").replicate(1, 50)
    ramp.write_to_file(str(original), bitdepth=photograph_bits)
    assert render_into(tmp_path / "out", original).info.bits == photograph_bits
