"""The full size of a JPEG, PNG or WebP has no more bytes than its original, also where it has to be rendered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from loadtest.paint import CORNERS, Photograph, paint
from pipeline.protocol import Derived, Render
from pipeline.render.fitting import Encoding, encode_best
from pipeline.size import Size
from tests.pipeline.render.test_render import colour_at
from tests.pipeline.rendering import SITE, RenderProcess, render_into, seen

if TYPE_CHECKING:
    from pathlib import Path

FULL = Size(name="full", strip_only=True, quality=84)

HARD: dict[str, tuple[Photograph, dict[str, int | str | bool]]] = {
    "low.jpg": (Photograph(width=300, height=200, noise=12), {"Q": 30}),
    "lower.jpg": (Photograph(width=300, height=200, noise=12), {"Q": 10, "interlace": True}),
    "flat.jpg": (Photograph(width=1300, height=200), {"Q": 30, "optimize_coding": True}),
    "whole.jpg": (Photograph(width=304, height=208, noise=3), {"Q": 84, "optimize_coding": True}),
    "low.webp": (Photograph(width=300, height=200, noise=12), {"Q": 20, "effort": 6}),
    "lossless.webp": (Photograph(width=300, height=200), {"lossless": True, "effort": 6}),
    "flat.png": (Photograph(width=300, height=200), {"compression": 9, "filter": "all"}),
    "noisy.png": (Photograph(width=300, height=200, noise=12), {"compression": 9, "filter": "all"}),
}
"""Pictures that a usual encoding makes larger, by file name, with the options of their encoder."""


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", HARD)
def test_a_turned_picture_does_not_grow(tmp_path: Path, name: str, orientation: int) -> None:
    photograph, options = HARD[name]
    turned = Photograph(
        width=photograph.width, height=photograph.height, noise=photograph.noise, orientation=orientation
    )
    paint(tmp_path / name, turned, **options)
    (made,) = render_into(tmp_path / "out", tmp_path / name, FULL).derivatives
    assert made.bytes <= (tmp_path / name).stat().st_size
    assert (made.width, made.height) == (photograph.width, photograph.height)
    picture = seen(made.path)
    assert not picture.getexif()
    small = picture.convert("RGB").resize((2, 2), resample=4)  # the mean of each quarter
    assert colour_at(small, 0, 0) == pytest.approx(CORNERS[0], abs=40)
    assert colour_at(small, 1, 1) == pytest.approx(CORNERS[3], abs=40)


def test_a_picture_that_fits_is_encoded_once_with_its_quality(tmp_path: Path) -> None:
    original = tmp_path / "original.jpg"
    paint(original, Photograph(width=400, height=300, noise=9, orientation=6), Q=97)
    (full,) = render_into(tmp_path / "full", original, FULL).derivatives
    whole = Size(name="whole", width=400, quality=84)
    (other,) = render_into(tmp_path / "whole", original, whole).derivatives
    assert seen(full.path).tobytes() == seen(other.path).tobytes()


def test_other_sizes_keep_their_quality(tmp_path: Path) -> None:
    original = tmp_path / "original.jpg"
    paint(original, Photograph(width=300, height=200, noise=12, orientation=2), Q=10)
    (made,) = render_into(tmp_path / "out", original, Size(name="whole", width=300)).derivatives
    assert made.bytes > original.stat().st_size


@pytest.mark.parametrize("name", ["low.jpg", "low.webp", "noisy.png"])
def test_what_is_tried_depends_on_the_original_alone(tmp_path: Path, name: str) -> None:
    photograph, options = HARD[name]
    paint(tmp_path / name, Photograph(width=300, height=200, noise=photograph.noise, orientation=6), **options)
    (alone,) = render_into(tmp_path / "alone", tmp_path / name, *SITE, FULL, wanted=("full",)).derivatives
    *_, beside = render_into(tmp_path / "all", tmp_path / name, *SITE, FULL, first="full").derivatives
    assert (tmp_path / "alone" / alone.path).read_bytes() == (tmp_path / "all" / beside.path).read_bytes()


@pytest.mark.parametrize("most", range(12))
def test_the_first_encoding_that_fits_is_found_in_few_steps(tmp_path: Path, most: int) -> None:
    tried: list[int] = []
    path = tmp_path / "made"

    def encode(encoding: Encoding) -> None:
        tried.append(int(encoding.options["Q"]))
        path.write_bytes(bytes(int(encoding.options["Q"])))

    encodings = [Encoding({"Q": quality}) for quality in (10, 9, 8, 7, 6, 5, 4, 3, 2, 1)]
    encode_best(path, most, [*encodings, Encoding({"Q": 11})], encode)
    assert path.stat().st_size == (min(most, 10) or 11)
    assert len(tried) <= 5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "photograph", "options"),
    [
        ("low.jpg", Photograph(width=1900, height=1400, noise=12, orientation=6), {"Q": 10}),
        ("large.jpg", Photograph(width=2400, height=1800, noise=12, orientation=6), {"Q": 10}),
        ("low.webp", Photograph(width=1200, height=1000, noise=12, orientation=6), {"Q": 10}),
        ("lossless.webp", Photograph(width=1000, height=1000, orientation=6), {"lossless": True}),
        ("low.png", Photograph(width=900, height=700, noise=6, orientation=6), {"compression": 9, "filter": "all"}),
    ],
)
def test_the_memory_of_further_encodings_is_predicted(
    tmp_path: Path, name: str, photograph: Photograph, options: dict[str, int | str]
) -> None:
    paint(tmp_path / name, photograph, **options)
    with RenderProcess() as process:
        answer = process.ask(Render(path=str(tmp_path / name), folder=str(tmp_path), sizes=(FULL,)))
        assert isinstance(answer, Derived)
        assert answer.derivatives[0].bytes <= (tmp_path / name).stat().st_size
        assert process.peak_bytes() <= answer.info.render_bytes
