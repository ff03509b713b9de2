"""Memory: what a photograph of a phone may take, and options that a libvips does not know."""

from pathlib import Path

import pytest

from loadtest.paint import Photograph, paint
from pipeline import footprint
from pipeline.wire import Derived, Render
from tests.pipeline.rendering import SITE, RenderProcess

MEBIBYTE = 1 << 20


def test_a_photograph_of_twelve_megapixels_is_rendered_within_fifty_megabytes(tmp_path: Path) -> None:
    original = tmp_path / "original.jpg"
    paint(original, Photograph(width=4000, height=3000))
    with RenderProcess() as process:
        assert isinstance(process.ask(Render(path=str(original), folder=str(tmp_path), sizes=SITE)), Derived)
        assert process.peak_bytes() < 50 * MEBIBYTE


def test_a_libvips_without_these_options_is_named_at_once() -> None:
    with pytest.raises(RuntimeError, match="--vips-tile-hight"):
        footprint.work_on_few_lines(("--vips-tile-hight=32",))
