"""A running service for the tests of pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.proxy.http.conftest import Site, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture(scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """A service that the tests of a module share."""
    async with serving(tmp_path_factory.mktemp("site")) as one:
        yield one
