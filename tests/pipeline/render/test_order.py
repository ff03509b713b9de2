"""The order in which sizes are made changes none of their bytes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import PIL.Image
import pytest

from loadtest.paint import Photograph, pixels
from pipeline.protocol import Render
from pipeline.render.render import Rendering
from pipeline.size import Size
from tests.pipeline.rendering import SITE, render_into

if TYPE_CHECKING:
    from pipeline.protocol import Derived

RECIPES = {
    "site": SITE,
    "moving": (Size(name="moving", width=90, animate=True), *SITE),
    "kept": (Size(name="kept", width=900, gamut="keep"), *SITE),
    "cropped": (Size(name="square", width=250, height=250, fit="fill", position="attention"), *SITE),
}


def contents(derived: Derived) -> dict[str, bytes]:
    return {one.size: Path(one.path).read_bytes() for one in derived.derivatives}


def paint_original(path: Path) -> None:
    picture = pixels(Photograph(width=1300, height=900, noise=9))
    match path.suffix:
        case ".gif":
            frames = [PIL.Image.effect_noise((120, 80), 40 + 9 * number) for number in range(3)]
            frames[0].save(path, save_all=True, append_images=frames[1:])
        case ".png":
            picture.colourspace("rgb16").pngsave(str(path), compression=1)
        case _:
            picture.jpegsave(str(path))


@pytest.mark.parametrize(
    ("suffix", "recipe"),
    [(".jpg", "site"), (".jpg", "cropped"), (".gif", "moving"), (".png", "kept")],
)
def test_a_size_that_is_made_first_and_all_others_have_the_same_bytes(tmp_path: Path, suffix: str, recipe: str) -> None:
    original, sizes = tmp_path / f"original{suffix}", RECIPES[recipe]
    paint_original(original)
    usual = contents(render_into(tmp_path / "usual", original, *sizes))
    for first in usual:
        folder = tmp_path / f"first-{first}"
        question = Render(path=str(original), folder=str(tmp_path), sizes=sizes, first=first)
        assert next(Rendering(question).run(first=first)).size == first
        assert contents(render_into(folder, original, *sizes, first=first)) == usual
