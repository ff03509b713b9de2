"""What tests of commands that run in the test's process share."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _environment_of_its_own() -> Iterator[None]:
    """Undo what a command sets in the environment: options of `serve`, and variables of --env-file."""
    before = dict(os.environ)
    yield
    for name in {*os.environ} - {*before}:
        del os.environ[name]
    os.environ.update(before)
