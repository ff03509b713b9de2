"""The sources are short enough to be read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline.kernel.library import PATH

SOURCES = sorted([*PATH.parent.glob("*.[ch]"), *PATH.parent.glob("*.py"), *Path(__file__).parent.glob("*.c")])


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_no_line_and_no_function_is_long(source: Path) -> None:
    text = source.read_text(encoding="utf-8")
    assert max(map(len, text.splitlines())) <= 100
    assert all(body.count("\n") < 50 for body in re.findall(r"^\{$.*?^\}$", text, re.DOTALL | re.MULTILINE))
