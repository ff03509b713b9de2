"""Tests of the faults that are reported for a sizes file."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.settings.sizes import BadSettings, read_sizes


def faults(tmp_path: Path, text: str) -> str:
    path = tmp_path / "sizes.toml"
    path.write_text(text)
    with pytest.raises(BadSettings) as refused:
        read_sizes(path)
    return str(refused.value)


def test_every_fault_of_a_table_is_named_at_once_with_what_would_be_right(tmp_path: Path) -> None:
    said = faults(
        tmp_path,
        '[sizes.a]\nwidth = "wide"\nquality = 101\nformat = "bmp"\ngamut = "all"\n'
        'heigth = 3\nfit = "fill"\neffort = 10\n',
    )
    for part in (
        'width must be a whole number without quotes, such as width = 800; it is "wide"',
        "quality 101 must be 1 to 100",
        "format 'bmp' must be one of jpeg, png, webp, avif",
        "gamut 'all' must be one of srgb, keep",
        "unknown setting heigth; the settings are width, height",
        "fit 'fill' needs a height",
        "effort 10 must be 0 to 9",
    ):
        assert part in said


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("quality = 1.5", "quality must be a whole number without quotes, such as quality = 76; it is 1.5"),
        ("height = true", "height must be a whole number without quotes, such as height = 600; it is true"),
        ('animate = "yes"', 'animate must be true or false, such as animate = true; it is "yes"'),
        ("fit = 3", 'fit must be text in quotes, such as fit = "limit"; it is 3'),
        ("effort = [1]", "effort must be a whole number without quotes, such as effort = 4; it is [1]"),
        ("format = 1979-05-27", 'format must be text in quotes, such as format = "webp"; it is 1979-05-27'),
        ("strip_only = 1", "strip_only must be true or false, such as strip_only = true; it is 1"),
    ],
)
def test_a_value_of_the_wrong_kind_is_shown_beside_a_right_one(tmp_path: Path, line: str, sentence: str) -> None:
    width = "" if line.startswith("strip_only") else "width = 800\n"
    assert sentence in faults(tmp_path, f"[sizes.a]\n{width}{line}\n")


def test_a_width_that_is_missing_is_said_in_words(tmp_path: Path) -> None:
    said = faults(tmp_path, "[sizes.a]\nquality = 0\n")
    assert "width is missing" in said
    assert "quality 0" in said


def test_a_size_that_only_strips_needs_no_width(tmp_path: Path) -> None:
    path = tmp_path / "sizes.toml"
    path.write_text("[sizes.full]\nstrip_only = true\nquality = 84\nanimate = true\n")
    (size,) = read_sizes(path)
    assert (size.strip_only, size.quality) == (True, 84)
    assert size.dimensions(width=5000, height=70_000, highest=65_500) == (4679, 65_500)
    assert size.dimensions(width=17, height=4) == (17, 4)


def test_what_contradicts_a_size_that_only_strips_is_named_at_once(tmp_path: Path) -> None:
    said = faults(
        tmp_path,
        '[sizes.full]\nstrip_only = true\nwidth = 3\nposition = "attention"\nformat = "png"\nkeep_copyright = true\n',
    )
    for part in (
        "strip_only keeps the dimensions of the original; remove width and height",
        "strip_only crops nothing; remove fit and position",
        "strip_only keeps the format of the original; remove format",
        "strip_only keeps no metadata; remove keep_copyright",
    ):
        assert part in said


@pytest.mark.parametrize("option", ["height = 3", 'fit = "fill"\nheight = 3'])
def test_a_box_contradicts_a_size_that_only_strips(tmp_path: Path, option: str) -> None:
    assert "remove width and height" in faults(tmp_path, f"[sizes.full]\nstrip_only = true\n{option}\n")


def test_the_ready_file_has_the_default_sizes_and_the_full_one() -> None:
    config = Path(__file__).parents[3] / "config"
    *scaled, full = read_sizes(config / "sizes-public-full.toml")
    assert tuple(scaled) == read_sizes(config / "sizes.toml")
    assert (full.name, full.strip_only) == ("full", True)


def test_a_size_has_its_name_from_its_table_alone(tmp_path: Path) -> None:
    assert "unknown setting name" in faults(tmp_path, '[sizes.a]\nname = "b"\nwidth = 3\n')


def test_every_table_that_is_wrong_is_named(tmp_path: Path) -> None:
    said = faults(tmp_path, "[sizes.a]\nwidth = 0\n[sizes.b]\nwidth = 3\n[sizes.c]\n")
    assert [line.split(":")[0] for line in said.splitlines()] == ["sizes.a", "sizes.c"]


def test_a_stray_table_hides_no_other_fault(tmp_path: Path) -> None:
    said = faults(tmp_path, "version = 2\n[size.a]\nwidth = 3\n[sizes.b]\nwidth = 0\n[sizes.c]\n").splitlines()
    assert [line.removeprefix(f"{tmp_path}/sizes.toml: ")[:12] for line in said[:2]] == ["version is n", "size is not "]
    assert [line.partition(":")[0] for line in said[2:]] == ["sizes.b", "sizes.c"]


def test_a_file_with_stray_tables_alone_has_two_faults(tmp_path: Path) -> None:
    said = faults(tmp_path, "[size.a]\nwidth = 3\n").splitlines()
    assert len(said) == 2
    assert "[sizes.<name>] tables" in said[1]
