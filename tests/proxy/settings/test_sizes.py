"""Tests of the faults that are reported for a sizes file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.settings.sizes import BadSettings, read_sizes

if TYPE_CHECKING:
    from pathlib import Path


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
        "width: Expected `int`",
        "quality 101 must be 1 to 100",
        "format 'bmp' must be one of jpeg, png, webp, avif",
        "gamut 'all' must be one of srgb, keep",
        "unknown setting heigth; the settings are width, height",
        "fit 'fill' needs a height",
        "effort 10 must be 0 to 9",
    ):
        assert part in said


def test_a_width_that_is_missing_is_said_in_words(tmp_path: Path) -> None:
    said = faults(tmp_path, "[sizes.a]\nquality = 0\n")
    assert "width is missing" in said
    assert "quality 0" in said


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
