"""A render takes no more memory than predicted from the header, and releases it afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import PIL.Image
import pytest

from loadtest.paint import Photograph, paint, pixels
from pipeline.image import tone
from pipeline.protocol import Derived, Render
from pipeline.render.render import Rendering
from pipeline.size import Size
from tests.pipeline.formats.heifs import Codec, coded, repeated, write
from tests.pipeline.image.test_tone import P3, labelled
from tests.pipeline.rendering import SITE, RenderProcess, needs_corpus, photographs
from tests.thorough import count

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.protocol import ImageInfo

MIB = 1 << 20


def peak(path: Path, folder: Path, sizes: tuple[Size, ...] = SITE) -> tuple[ImageInfo, int]:
    with RenderProcess() as process:
        answer = process.ask(Render(path=str(path), folder=str(folder), sizes=sizes))
        assert isinstance(answer, Derived)
        return answer.info, process.peak_bytes()


def picture(width: int, height: int) -> PIL.Image.Image:
    painted = pixels(Photograph(width=width, height=height, noise=4))
    return PIL.Image.frombytes("RGB", (width, height), bytes(painted.write_to_memory()))


@pytest.mark.parametrize(("width", "height", "most"), [(4000, 3000, 50), (6000, 4000, 60)])
def test_a_baseline_photograph_takes_little_memory(tmp_path: Path, width: int, height: int, most: int) -> None:
    original = tmp_path / "original.jpg"
    paint(original, Photograph(width=width, height=height, noise=12, gps=True), Q=92)
    info, used = peak(original, tmp_path)
    assert used < most * MIB
    assert used <= info.render_bytes <= 2 * used


@pytest.mark.parametrize("first", ["large", "medium", "small"])
def test_a_small_size_that_is_made_first_takes_no_more_than_predicted(tmp_path: Path, first: str) -> None:
    original = tmp_path / "original.jpg"
    paint(original, Photograph(width=4000, height=3000, noise=12, orientation=6), Q=92)
    question = Render(path=str(original), folder=str(tmp_path), sizes=SITE, first=first)
    with RenderProcess() as process:
        answer = process.ask(question)
        assert isinstance(answer, Derived)
        assert process.peak_bytes() <= answer.info.render_bytes + Rendering(question).first_bytes


@pytest.mark.parametrize(
    ("suffix", "options", "orientation"),
    [
        (".jpg", {"interlace": True}, 1),
        (".jpg", {"interlace": True, "subsample_mode": "off"}, 6),
        (".jpg", {}, 6),
        (".png", {}, 1),
        (".png", {"interlace": True}, 1),
        (".webp", {"effort": 0}, 8),
        (".tif", {"tile": True}, 1),
        (".gif", {"effort": 1}, 1),
        (".avif", {"effort": 0}, 1),
    ],
)
def test_no_prediction_is_too_low(tmp_path: Path, suffix: str, options: dict[str, bool], orientation: int) -> None:
    original = tmp_path / f"original{suffix}"
    paint(original, Photograph(width=3000, height=2000, noise=6, orientation=orientation), **options)
    info, used = peak(original, tmp_path)
    assert used <= info.render_bytes


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        (".webp", {"effort": 0, "lossless": True}),
        (".tif", {"compression": "lzw"}),
        (".tif", {"tile": True, "tile_width": 2048, "tile_height": 2048}),
    ],
)
def test_no_prediction_is_too_low_for_what_is_seldom_seen(
    tmp_path: Path, suffix: str, options: dict[str, float | str]
) -> None:
    original = tmp_path / f"original{suffix}"
    picture = pixels(Photograph(width=4000, height=3000, noise=30))
    shown = picture.bandjoin(128).cast("uchar") if suffix == ".webp" else picture
    shown.copy(interpretation="srgb").write_to_file(str(original), **options)
    info, used = peak(original, tmp_path)
    assert used <= info.render_bytes


@pytest.mark.parametrize("codec", ["heic", "avif"])
@pytest.mark.parametrize("side", [512, 2400])
def test_the_prediction_for_tiles_and_for_whole_images_is_close(tmp_path: Path, codec: Codec, side: int) -> None:
    shown = picture(side, side)
    parts = repeated(shown, side, (4000, 3000), codec) if side == 512 else [coded(shown, codec)]
    info, used = peak(write(tmp_path / "original", parts, codec), tmp_path)
    assert used <= info.render_bytes <= 1.5 * used


@pytest.mark.parametrize("transfer", tone.HDR)
@pytest.mark.parametrize("side", [512, 2400])
def test_no_prediction_is_too_low_for_hdr(tmp_path: Path, side: int, transfer: int) -> None:
    parts = repeated(picture(side, side), side, (4000, 3000) if side == 512 else (side, side), "heic")
    marked = [parts[0], *(labelled(part, P3, transfer) for part in parts[1:])]
    info, used = peak(write(tmp_path / "original", marked, "heic"), tmp_path)
    assert used <= info.render_bytes


@pytest.mark.parametrize("codec", ["heic", "avif"])
def test_a_photograph_in_tiles_of_24_megapixels_takes_little_memory(tmp_path: Path, codec: Codec) -> None:
    """Phones write such files by default; a service in 256 MB has 152 MB for all renders."""
    original = write(tmp_path / "original", repeated(picture(512, 512), 512, (5712, 4284), codec), codec)
    info, used = peak(original, tmp_path)
    assert (info.width, info.height) == (5712, 4284)
    assert used <= info.render_bytes <= 1.5 * used
    assert info.render_bytes < 110 * MIB


@pytest.mark.parametrize("width", [3000, 4800])
@pytest.mark.parametrize("options", [{}, {"lossless": True, "Q": 0}])
@pytest.mark.parametrize("has_alpha", [False, True])
def test_the_prediction_for_webp_is_close(
    tmp_path: Path, width: int, options: dict[str, int], *, has_alpha: bool
) -> None:
    original, shown = tmp_path / "original.webp", pixels(Photograph(width=width, height=width * 2 // 3, noise=6))
    shown = shown.bandjoin(128).cast("uchar") if has_alpha else shown
    shown.copy(interpretation="srgb").webpsave(str(original), effort=0, **options)
    info, used = peak(original, tmp_path)
    assert used <= info.render_bytes <= 1.75 * used


@pytest.mark.parametrize("subsample_mode", ["on", "off"])
def test_the_prediction_for_a_progressive_photograph_is_close(tmp_path: Path, subsample_mode: str) -> None:
    original = tmp_path / "original.jpg"
    paint(original, Photograph(width=6000, height=4000, noise=6), interlace=True, subsample_mode=subsample_mode)
    info, used = peak(original, tmp_path)
    assert used <= info.render_bytes <= 1.3 * used


@pytest.mark.parametrize(
    ("sides", "boxes"),
    [((4000, 3000), [300]), ((4000, 3000), [800]), ((16_000, 800), [300]), ((16_000, 800), [2000, 900, 300])],
)
def test_no_prediction_is_too_low_for_sizes_that_are_small_or_crop_a_panorama(
    tmp_path: Path, sides: tuple[int, int], boxes: list[int]
) -> None:
    original = tmp_path / "original.jpg"
    paint(original, Photograph(width=sides[0], height=sides[1], noise=12))
    sizes = tuple(Size(name=f"fill-{side}", width=side, height=side * 3 // 4, fit="fill") for side in boxes)
    info, used = peak(original, tmp_path, sizes)
    assert used <= info.render_bytes <= 2 * used


@pytest.mark.parametrize("colours", [2, 4, 200])
def test_no_prediction_is_too_low_for_a_palette(tmp_path: Path, colours: int) -> None:
    original = tmp_path / "original.png"
    PIL.Image.effect_noise((4000, 3000), 60).convert("RGB").quantize(colours, kmeans=0).save(original)
    for sizes in (SITE, (Size(name="whole", width=4000),)):
        info, used = peak(original, tmp_path, sizes)
        assert used <= info.render_bytes


def test_what_a_file_says_about_its_picture_is_predicted_as_well(tmp_path: Path) -> None:
    original = tmp_path / "original.jpg"
    paint(original, Photograph(width=400, height=300))
    content = original.read_bytes()
    segment = b"\xff\xe1\xff\xff" + b"http://ns.adobe.com/xap/1.0/\0".ljust(65_533, b"x")
    original.write_bytes(content[:2] + 400 * segment + content[2:])
    info, used = peak(original, tmp_path)
    assert used <= info.render_bytes


@needs_corpus
def test_a_process_does_not_grow(tmp_path: Path) -> None:
    """After three rounds of photographs, the process holds less than 10 MiB more than after two.

    The photographs have a few megabytes each.
    """
    chosen = [path for path in photographs() if path.suffix in (".jpg", ".png", ".webp")][: count(24, otherwise=6)]
    held = []
    with RenderProcess() as process:
        for _ in range(3):
            for path in chosen:
                process.ask(Render(path=str(path), folder=str(tmp_path), sizes=SITE))
            held.append(process.held_bytes())
    assert held[2] - held[1] < 10 * MIB
