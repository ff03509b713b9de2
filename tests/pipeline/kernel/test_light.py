"""The tables between sRGB and light are what the standard says, and lose no level."""

from __future__ import annotations

from pipeline.image.transfer_curve import to_linear
from pipeline.kernel.light import LIGHT, LIGHTS, levels_of_light, light_of_levels


def test_the_light_of_a_level_is_the_nearest_to_what_the_standard_says() -> None:
    for level, light in enumerate(light_of_levels()):
        assert abs(light - LIGHT * to_linear(level / 255)) <= 0.5 + 1e-6


def test_every_level_survives_the_way_to_light_and_back() -> None:
    levels = levels_of_light()
    assert [levels[light - LIGHTS.start] for light in light_of_levels()] == list(range(256))


def test_the_level_of_a_light_is_the_nearest_one() -> None:
    found = levels_of_light()
    assert len(found) == len(LIGHTS)
    levels = found[-LIGHTS.start :]
    for light, level in enumerate(levels[: LIGHT + 1]):
        assert level == 0 or light / LIGHT > to_linear((level - 0.5) / 255)
        assert level == 255 or light / LIGHT <= to_linear((level + 0.5) / 255)
    assert set(levels[LIGHT:]) == {255}, "what is brighter than white is white"
    assert set(found[: -LIGHTS.start]) == {0}, "what is darker than black is black"
