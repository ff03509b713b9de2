"""The tables between sRGB and light are what the standard says, and lose no level."""

from __future__ import annotations

from fractions import Fraction

from pipeline.image.transfer_curve import to_linear
from pipeline.kernel.light import ALL_LIGHTS, WHITE, levels_of_light, light_of_levels


def test_the_light_of_a_level_is_the_nearest_to_what_the_standard_says() -> None:
    for level, light in enumerate(light_of_levels()):
        assert abs(light - WHITE * to_linear(level / 255)) <= 0.5 + 1e-6


def test_every_level_survives_the_way_to_light_and_back() -> None:
    levels = levels_of_light()
    assert [levels[light - ALL_LIGHTS.start] for light in light_of_levels()] == list(range(256))


def test_the_level_of_a_light_is_the_nearest_one() -> None:
    found = levels_of_light()
    assert len(found) == len(ALL_LIGHTS)
    levels = found[-ALL_LIGHTS.start :]
    for light, level in enumerate(levels[: WHITE + 1]):
        assert level == 0 or light / WHITE > to_linear((level - 0.5) / 255)
        assert level == 255 or light / WHITE <= to_linear((level + 0.5) / 255)
    assert set(levels[WHITE:]) == {255}, "what is brighter than white is white"
    assert set(found[: -ALL_LIGHTS.start]) == {0}, "what is darker than black is black"


def test_no_level_begins_at_a_whole_number_of_light() -> None:
    for halves in range(1, 510, 2):
        value = Fraction(halves, 510)
        if value <= Fraction(4045, 100_000):
            assert (WHITE * value * 100 / 1292).denominator > 1
        else:
            fifth_power = WHITE**5 * ((value + Fraction(55, 1000)) * 1000 / 1055) ** 12
            assert fifth_power.denominator > 1, "the fifth power of a whole number is whole"
