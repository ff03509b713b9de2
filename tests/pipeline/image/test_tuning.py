"""Options that a libvips does not know are named when it starts."""

from __future__ import annotations

import pytest

from pipeline.image import tuning


def test_a_libvips_without_these_options_is_named_at_once() -> None:
    with pytest.raises(RuntimeError, match="--vips-tile-hight"):
        tuning.reduce_tile_height(("--vips-tile-hight=32",))
