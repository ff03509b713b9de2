"""Imports without optional libraries."""

from __future__ import annotations

import subprocess
import sys

import pytest

from proxy.optional_imports import unavailable

SERVES = """
import sys, click, uvicorn
from proxy.__main__ import main
sys.argv = ["gf-images", "openapi"]
try:
    main()
finally:
    print(sorted({"httpx", "pydantic", "pygments", "rich"} & {*sys.modules}), file=sys.stderr)
"""


def test_an_unavailable_module_cannot_be_imported_within_the_block_and_can_after_it() -> None:
    with unavailable("wave", "json"):
        with pytest.raises(ImportError):
            __import__("wave")
        assert __import__("json") is sys.modules["json"]  # it was loaded before
    assert __import__("wave").__name__ == "wave"


def test_the_application_loads_no_library_that_it_does_not_use() -> None:
    run = subprocess.run([sys.executable, "-c", SERVES], check=True, capture_output=True, text=True)
    assert run.stderr.splitlines()[-1] == "[]"
