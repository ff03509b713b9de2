"""HEIC is decoded if its extra is installed, and otherwise refused with a clear message."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

import PIL.Image
import pytest

from loadtest.paint import CORNERS
from pipeline.errors import Corrupt, UnsupportedFormat
from tests.pipeline.render.test_render import assert_painted
from tests.pipeline.rendering import render_into

if TYPE_CHECKING:
    from pathlib import Path

needs_extra = pytest.mark.skipif(find_spec("pillow_heif") is None, reason="needs the heic extra")


@pytest.fixture
def original(tmp_path: Path) -> Path:
    pillow_heif = pytest.importorskip("pillow_heif")
    picture = PIL.Image.new("RGB", (640, 480))
    for index, colour in enumerate(CORNERS):
        picture.paste(colour, (320 * (index % 2), 240 * (index // 2), 640, 480 if index > 1 else 240))
    path = tmp_path / "original.heic"
    pillow_heif.from_pillow(picture).save(path, quality=95)
    return path


@needs_extra
def test_a_heic_becomes_jpeg(tmp_path: Path, original: Path) -> None:
    derived = render_into(tmp_path / "out", original)
    assert (derived.info.format, derived.info.width, derived.info.height) == ("heic", 640, 480)
    for derivative in derived.derivatives:
        assert derivative.content_type == "image/jpeg"
        assert_painted(derivative.path)


@needs_extra
def test_a_heic_that_ends_early_is_refused(tmp_path: Path, original: Path) -> None:
    content = original.read_bytes()
    original.write_bytes(content[: len(content) * 7 // 10])
    with pytest.raises(Corrupt):
        render_into(tmp_path / "out", original)


@needs_extra
def test_without_the_extra_the_refusal_says_so(tmp_path: Path, original: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(UnsupportedFormat, match="heic extra"):
        render_into(tmp_path / "out", original)
