"""libvips decodes only the allowed formats, with one thread and no cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pyvips

from pipeline.errors import Corrupt
from pipeline.image import vips

if TYPE_CHECKING:
    from pathlib import Path

SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'


@pytest.mark.parametrize("loader", ["svgload", "vipsload", "csvload", "rawload", "matrixload", "uhdrload"])
def test_a_loader_that_is_not_needed_cannot_run(tmp_path: Path, loader: str) -> None:
    path = tmp_path / "picture"
    path.write_text(SVG)
    with pytest.raises(Corrupt):
        vips.load(loader, path, fail_on="error")


def test_libvips_does_not_guess_a_blocked_format(tmp_path: Path) -> None:
    path = tmp_path / "picture.svg"
    path.write_text(SVG)
    with pytest.raises(pyvips.Error):
        pyvips.Image.new_from_file(str(path))


def test_no_path_is_in_an_error(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(Corrupt) as refused:
        vips.load("source", path, fail_on="error")
    assert str(tmp_path) not in str(refused.value)


def test_it_uses_one_thread_and_remembers_nothing() -> None:
    assert pyvips.concurrency_get() == 1
    assert pyvips.cache_get_max() == 0
