"""An option that the loaded libvips does not support raises an error that names it."""

from __future__ import annotations

import pytest

from pipeline.image import tuning


def test_a_libvips_without_these_options_is_named_at_once() -> None:
    with pytest.raises(RuntimeError, match="--vips-tile-hight"):
        tuning.reduce_tile_height(("--vips-tile-hight=32",))
