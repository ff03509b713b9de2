"""The compiled library is the one that the sources in Python were written for."""

from __future__ import annotations

import ctypes
import re
from struct import pack
from typing import TYPE_CHECKING

import pytest

from pipeline.kernel import library
from pipeline.kernel.library import CONTRACT, LIBRARY, PATH, load

if TYPE_CHECKING:
    from pathlib import Path

CONTRACT_BYTES = pack(f"{len(CONTRACT)}i", *CONTRACT)


@pytest.mark.parametrize("place", range(len(CONTRACT)))
def test_a_library_with_another_number_is_not_loaded(tmp_path: Path, place: int) -> None:
    other = [number + (index == place) for index, number in enumerate(CONTRACT)]
    assert PATH.read_bytes().count(CONTRACT_BYTES) == 1
    path = tmp_path / f"other{place}.so"
    path.write_bytes(PATH.read_bytes().replace(CONTRACT_BYTES, pack(f"{len(other)}i", *other)))
    with pytest.raises(ImportError, match=r"other\d+\.so is of another version"):
        load(path)


def test_a_library_that_exports_no_numbers_is_not_loaded(tmp_path: Path) -> None:
    path = tmp_path / "older.so"
    path.write_bytes(PATH.read_bytes().replace(b"ladder_contract", b"ladder_CONTRACT"))
    with pytest.raises(ImportError, match=r"older\.so is of another version"):
        load(path)


def test_a_library_that_is_missing_is_an_error_that_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(ImportError, match=r"none\.so is missing: `make install`"):
        load(tmp_path / "none.so")


def test_the_numbers_are_exported_in_the_order_of_the_header() -> None:
    header = PATH.with_name("ladder.h").read_text(encoding="utf-8")
    described = re.search(r"// What Python must agree on: (.*?)\.\n", header, re.DOTALL)
    assert described is not None
    names = re.findall(r"\b[A-Z]+_?[A-Z]+\b", described[1])
    assert len(names) + 1 == len(CONTRACT), "and the size of a struct"
    for name, number in zip(names, CONTRACT, strict=False):
        if name not in ("LADDER_VERSION", "LIGHT_COUNT"):
            assert getattr(library, name) == number, name


def test_nothing_is_freed_of_no_ladder() -> None:
    LIBRARY.ladder_free(ctypes.c_void_p(None))
